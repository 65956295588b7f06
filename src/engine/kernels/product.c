// The products themselves. A tile is four rows of weights by a few of activations; all sizes are constants once inlined.
#include "product.h"
#include <math.h>
#include <string.h>
#include "lanes.h"

/** How far ahead of the sum a row of weights is fetched: the processor's own prefetching ends at each page. */
enum { ahead_bytes = 4096 };

/** From so many rows of activations on panels are faster than tiles. */
enum { panels_from = 16 };

/** Where activations are more than a tile, so many rows of weights wait in the cache for the next one. */
enum { strip_rows = 64 };

/** The largest magnitude of `count` values. */
INLINE float highest(const float *values, int count) {
  float most = 0;
#pragma omp simd reduction(max : most)
  for (int i = 0; i < count; i++) {
    const float magnitude = fabsf(values[i]);
    most = magnitude > most ? magnitude : most;
  }
  return most;
}

void round_row(const Weights *w, const float *row, Chunk *chunks, int64_t stride) {
  const int width = columns_in_chunk(w), groups = groups_in(w);
  // Activations in the order of their codes: what the low nibbles (or bytes) multiply, then what the high ones do.
  const int halves = w->bits == 4 ? 2 : 1, part = 64 / groups;
  const int zero = w->bits == 4 ? 8 : zero_of_bytes;
  const int64_t count = chunks_in(w);
  for (int64_t c = 0; c < count; c++, row += width, chunks += stride) {
    float values[2][64];
    const int64_t left = w->columns - c * width;
    if (left >= width && halves == 2) for (int i = 0; i < 64; i++) values[0][i] = row[2 * i], values[1][i] = row[2 * i + 1];
    else if (left >= width) memcpy(values[0], row, sizeof values[0]);
    else for (int i = 0; i < width; i++) values[i % halves][i / halves] = i < left ? row[i] : 0;
    for (int g = 0; g < groups; g++) {
      const float low = highest(values[0] + g * part, part), high = halves == 2 ? highest(values[1] + g * part, part) : 0;
      const float most = low > high ? low : high, inverse = most > 0 ? 127 / most : 0;
      int sum = 0;
      for (int h = 0; h < halves; h++) {
        int8_t *to = chunks->values + 64 * h + g * part;
        for (int i = 0; i < part; i++) to[i] = (int8_t)rintf(values[h][g * part + i] * inverse);
        for (int i = 0; i < part; i++) sum += to[i];
      }
      chunks->scales[g] = most / 127;
      chunks->zeros[g] = -zero * sum;
    }
  }
}

/** The block that chunk `c` begins with. */
INLINE int64_t block_at(const Weights *w, int64_t c, int bits, int groups) {
  return groups == 1 ? c >> __builtin_ctzll((uint64_t)(w->block * bits / 512)) : c * groups;
}

/** Has what a row of weights will need soon on its way. */
INLINE void fetch_ahead(const uint8_t *codes, const float *scales, int64_t c, int64_t block) {
  prefetch(codes + 64 * c + ahead_bytes);
  if (c % 16 == 0) prefetch(scales + block + ahead_bytes / 64);
}

/** Adds the products of chunk `c`, of which `bytes` are there, of four rows of weights with `count` rows of activations, `chunks` apart. */
INLINE void add_to_few(
    const Weights *w, const uint8_t *const codes[4], const float *const scales[4], const Chunk *a, int64_t chunks, int64_t c, int bytes,
    int count, int bits, int groups, Four *sums) {
  const int64_t block = block_at(w, c, bits, groups);
  const int present = bytes == 64 || w->blocks - block >= groups ? groups : (int)(w->blocks - block);
  Codes low[4], high[4];
  Four factors[8];
  for (int n = 0; n < 4; n++) {
    fetch_ahead(codes[n], scales[n], c, block);
    const Codes all = load_codes(codes[n] + 64 * c, bytes);
    low[n] = bits == 4 ? low_nibbles(all) : plain_bytes(all);
    high[n] = high_nibbles(all);
  }
  for (int g = 0; g < present; g++) {
    factors[g] = (Four){scales[0][block + g], scales[1][block + g], scales[2][block + g], scales[3][block + g]};
  }
  for (int m = 0; m < count; m++, a += chunks) {
    Ints lanes[4];
    FourInts totals[8] = {0};
    for (int n = 0; n < 4; n++) {
      lanes[n] = bits == 4 ? dot_nibbles(low[n], high[n], a->values, groups) : dot(no_ints(), low[n], a->values);
    }
    add_lanes(lanes, groups, totals);
    for (int g = 0; g < present; g++) {
      sums[m] = multiply_add(__builtin_convertvector(totals[g] + a->zeros[g], Four), factors[g] * a->scales[g], sums[m]);
    }
  }
}

/** The same for four rows of activations: their sums, and not those of the weights, are the lanes. */
INLINE void add_to_four(
    const Weights *w, const uint8_t *const codes[4], const float *const scales[4], const Chunk *a, int64_t chunks, int64_t c, int bytes,
    int bits, int groups, Four *sums) {
  const int64_t block = block_at(w, c, bits, groups);
  const int present = bytes == 64 || w->blocks - block >= groups ? groups : (int)(w->blocks - block);
  const Chunk *each[4] = {a, a + chunks, a + 2 * chunks, a + 3 * chunks};
  FourInts zeros[8];
  Four steps[8];
  for (int g = 0; g < present; g++) {
    zeros[g] = (FourInts){each[0]->zeros[g], each[1]->zeros[g], each[2]->zeros[g], each[3]->zeros[g]};
    steps[g] = (Four){each[0]->scales[g], each[1]->scales[g], each[2]->scales[g], each[3]->scales[g]};
  }
  for (int n = 0; n < 4; n++) {
    fetch_ahead(codes[n], scales[n], c, block);
    const Codes all = load_codes(codes[n] + 64 * c, bytes);
    const Codes low = bits == 4 ? low_nibbles(all) : plain_bytes(all), high = high_nibbles(all);
    Ints lanes[4];
    FourInts totals[8] = {0};
    for (int m = 0; m < 4; m++) {
      lanes[m] = bits == 4 ? dot_nibbles(low, high, each[m]->values, groups) : dot(no_ints(), low, each[m]->values);
    }
    add_lanes(lanes, groups, totals);
    for (int g = 0; g < present; g++) {
      sums[n] = multiply_add(__builtin_convertvector(totals[g] + zeros[g], Four), scales[n][block + g] * steps[g], sums[n]);
    }
  }
}

/** Whether rows of weights take turns, each with four rows of activations: so its codes stay in registers. */
INLINE int taking_turns(int count) { return count == 4 && !codes_fit; }

/** Either of the two. */
INLINE void add_chunk(
    const Weights *w, const uint8_t *const codes[4], const float *const scales[4], const Chunk *a, int64_t chunks, int64_t c, int bytes,
    int count, int bits, int groups, Four *sums) {
  if (taking_turns(count)) add_to_four(w, codes, scales, a, chunks, c, bytes, bits, groups, sums);
  else add_to_few(w, codes, scales, a, chunks, c, bytes, count, bits, groups, sums);
}

/**
 * Rows [first, last) of weights by at most TILE_COUNT rows of activations. The four rows of a tile lie far apart, because memory gives
 * most where several long streams are read side by side.
 */
INLINE void rows(
    const Weights *w, const Chunk *activations, int count, int bits, int groups, int64_t first, int64_t last, float *out) {
  const int64_t chunks = chunks_in(w), whole = bytes_in_row(w) / 64, gap = (last - first + 3) / 4;
  const int left = (int)(bytes_in_row(w) % 64);
  for (int64_t row = first; row < first + gap; row++) {
    const uint8_t *codes[4];
    const float *scales[4];
    int64_t at[4];
    for (int n = 0; n < 4; n++) {
      // Where they do not come out even the last tiles have a row twice.
      at[n] = row + n * gap < last ? row + n * gap : row;
      codes[n] = w->codes + at[n] * bytes_in_row(w);
      scales[n] = w->scales + at[n] * w->blocks;
    }
    Four sums[4] = {0};
    // Whole chunks have a loop of their own: with their size a constant they are read without a detour.
    for (int64_t c = 0; c < whole; c++) add_chunk(w, codes, scales, activations + c, chunks, c, 64, count, bits, groups, sums);
    if (whole < chunks) add_chunk(w, codes, scales, activations + whole, chunks, whole, left, count, bits, groups, sums);
    for (int m = 0; m < count; m++) {
      for (int n = 0; n < 4; n++) {
        out[m * w->rows + at[n]] = (taking_turns(count) ? sums[n][m] : sums[m][n]) + (w->bias ? w->bias[at[n]] : 0);
      }
    }
  }
}

#define FOR_COUNT(M, BITS, GROUPS) case M: rows(w, activations, M, BITS, GROUPS, first, last, out); break;
#if TILE_COUNT > 2
#define FOR_MORE(BITS, GROUPS) FOR_COUNT(3, BITS, GROUPS) FOR_COUNT(4, BITS, GROUPS)
#else
#define FOR_MORE(BITS, GROUPS)
#endif
#define KIND(NAME, BITS, GROUPS) \
  static void NAME(const Weights *w, const Chunk *activations, int count, int64_t first, int64_t last, float *out) { \
    switch (count) { FOR_COUNT(1, BITS, GROUPS) FOR_COUNT(2, BITS, GROUPS) FOR_MORE(BITS, GROUPS) } \
  }
KIND(nibbles1, 4, 1)
KIND(nibbles2, 4, 2)
KIND(nibbles4, 4, 4)
KIND(nibbles8, 4, 8)
KIND(bytes1, 8, 1)
KIND(bytes2, 8, 2)
KIND(bytes4, 8, 4)

int in_panels(int64_t count) {
#ifdef HAS_PANELS
  return count >= panels_from;
#else
  (void)count;
  return 0;
#endif
}

int supported(void) { return has_lanes(); }

void multiply(const Weights *w, const Chunk *activations, int64_t count, int64_t first, int64_t last, float *out) {
#ifdef HAS_PANELS
  if (in_panels(count)) return panels(w, activations, count, first, last, out);
#endif
  static void (*const kinds[2][4])(const Weights *, const Chunk *, int, int64_t, int64_t, float *) = {
      {nibbles1, nibbles2, nibbles4, nibbles8}, {bytes1, bytes2, bytes4, NULL}};
  const int64_t chunks = chunks_in(w);
  const int kind = __builtin_ctz(groups_in(w));
  const int64_t strip = count > TILE_COUNT ? strip_rows : last - first;
  for (int64_t from = first; from < last; from += strip) {
    const int64_t to = from + strip < last ? from + strip : last;
    for (int64_t m = 0; m < count; m += TILE_COUNT) {
      const int some = count - m < TILE_COUNT ? (int)(count - m) : TILE_COUNT;
      kinds[w->bits == 8][kind](w, activations + m * chunks, some, from, to, out + m * w->rows);
    }
  }
}
