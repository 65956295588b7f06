// The products themselves. A tile is a few rows of activations by a few rows of weights; all sizes are constants once inlined.
#include "product.h"
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "lanes.h"

#define INLINE static inline __attribute__((always_inline))

/** How far ahead of the sum one row of weights is fetched: the processor's own prefetching ends at each page. */
#define AHEAD_BYTES 4096

static inline int columns_in_chunk(const Weights *w) { return 512 / w->bits; }
static inline int64_t bytes_in_row(const Weights *w) { return w->blocks * w->block * w->bits / 8; }
/** Blocks in a chunk, at least one. */
static inline int groups_in(const Weights *w) { return w->block < columns_in_chunk(w) ? columns_in_chunk(w) / w->block : 1; }

int64_t chunks_in(const Weights *w) { return (bytes_in_row(w) + 63) / 64; }

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
  const int width = columns_in_chunk(w), groups = groups_in(w), lanes = 16 / groups;
  // Activations in the order of their codes: what the low nibbles (or bytes) multiply, then what the high ones do.
  const int halves = w->bits == 4 ? 2 : 1, part = 64 / groups;
  const Codes zero = same_code(halves == 2 ? 8 : zero_of_bytes);
  const int64_t count = chunks_in(w);
  for (int64_t c = 0; c < count; c++, row += width, chunks += stride) {
    float values[2][64];
    const int64_t left = w->columns - c * width;
    if (left >= width && halves == 2) for (int i = 0; i < 64; i++) values[0][i] = row[2 * i], values[1][i] = row[2 * i + 1];
    else if (left >= width) memcpy(values[0], row, sizeof values[0]);
    else for (int i = 0; i < width; i++) values[i % halves][i / halves] = i < left ? row[i] : 0;
    for (int g = 0; g < groups; g++) {
      const float most = highest(values[0] + g * part, part), other = halves == 2 ? highest(values[1] + g * part, part) : 0;
      const float all = most > other ? most : other, inverse = all > 0 ? 127 / all : 0;
      for (int h = 0; h < halves; h++) {
        for (int i = g * part; i < (g + 1) * part; i++) chunks->values[64 * h + i] = (int8_t)rintf(values[h][i] * inverse);
      }
      for (int i = 0; i < lanes; i++) chunks->scales[g * lanes + i] = all / 127;
    }
    memset(chunks->corrections, 0, sizeof chunks->corrections);
    Ints added = load_ints(chunks->corrections);
    for (int h = 0; h < halves; h++) added = dot(added, zero, chunks->values + 64 * h);
    store_ints(chunks->corrections, added);
    memset(chunks->sums, 0, sizeof chunks->sums);
    for (int lane = 0; lane < 16; lane++) {
      chunks->corrections[lane] = -chunks->corrections[lane];
      chunks->sums[lane / lanes * lanes] += chunks->corrections[lane];
    }
  }
}

/**
 * Sums of `count` rows of activations by `wide` rows of weights, `gap` apart from `row` on. The rows of a tile lie far apart, because
 * memory gives most where several long streams are read side by side.
 */
INLINE void tile(const Weights *w, const Chunk *activations, int64_t chunks, int count, int wide, int bits, int groups, int64_t row, int64_t gap, float *out) {
  const int64_t stride = bytes_in_row(w);
  const int per_block = groups == 1 ? __builtin_ctzll((uint64_t)(w->block * bits / 512)) : 0;
  const uint8_t *codes = w->codes + row * stride;
  const float *scales = w->scales + row * w->blocks;
  Floats sums[4][4];
  for (int m = 0; m < count; m++) for (int n = 0; n < wide; n++) sums[m][n] = zeros();
  for (int64_t c = 0; c < chunks; c++) {
    const int bytes = c + 1 < chunks ? 64 : (int)(stride - 64 * c);
    const int64_t block = groups == 1 ? c >> per_block : c * groups;
    const int present = groups == 1 || w->blocks - block >= groups ? groups : (int)(w->blocks - block);
    for (int n = 0; n < wide; n++) {
      const uint8_t *at = codes + n * gap * stride + 64 * c;
      const float *scale = scales + n * gap * w->blocks + block;
      prefetch(at + AHEAD_BYTES);
      if (c % 16 == 0) prefetch(scale + AHEAD_BYTES / 64);
      const Codes all = load_codes(at, bytes);
      const Codes first = bits == 4 ? low_nibbles(all) : plain_bytes(all), second = high_nibbles(all);
      const Floats spreads = groups == 1 ? zeros() : spread(scale, groups, present);
      for (int m = 0; m < count; m++) {
        const Chunk *a = activations + m * chunks + c;
        Ints sum = dot(load_ints(a->corrections), first, a->values);
        if (bits == 4) sum = dot(sum, second, a->values + 64);
        const Floats factor = groups == 1 ? same(*scale * a->scales[0]) : times(spreads, load_floats(a->scales));
        sums[m][n] = add_scaled(sums[m][n], sum, factor);
      }
    }
  }
  for (int m = 0; m < count; m++) {
    for (int n = 0; n < wide; n++) {
      const int64_t to = row + n * gap;
      out[m * w->rows + to] = total(sums[m][n]) + (w->bias ? w->bias[to] : 0);
    }
  }
}
/** Rows [first, last) of weights by at most TILE_COUNT rows of activations. */
INLINE void rows(const Weights *w, const Chunk *activations, int64_t chunks, int count, int bits, int groups, int64_t first, int64_t last, float *out) {
  const int wide = count == 1 ? 4 : TILE_WIDE;
  const int64_t gap = (last - first) / wide;
  for (int64_t row = first; row < first + gap; row++) tile(w, activations, chunks, count, wide, bits, groups, row, gap, out);
  for (int64_t row = first + wide * gap; row < last; row++) tile(w, activations, chunks, count, 1, bits, groups, row, 0, out);
}

#define FOR_COUNT(M, BITS, GROUPS) case M: rows(w, activations, chunks, M, BITS, GROUPS, first, last, out); break;
#if TILE_COUNT > 2
#define FOR_MORE(BITS, GROUPS) FOR_COUNT(3, BITS, GROUPS) FOR_COUNT(4, BITS, GROUPS)
#else
#define FOR_MORE(BITS, GROUPS)
#endif
#define KIND(NAME, BITS, GROUPS) \
  static void NAME(const Weights *w, const Chunk *activations, int64_t chunks, int count, int64_t first, int64_t last, float *out) { \
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
  return count > MOST_ALIKE;
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
  static void (*const kinds[2][4])(const Weights *, const Chunk *, int64_t, int, int64_t, int64_t, float *) = {
      {nibbles1, nibbles2, nibbles4, nibbles8}, {bytes1, bytes2, bytes4, NULL}};
  const int64_t chunks = chunks_in(w);
  const int kind = __builtin_ctz(groups_in(w));
  for (int64_t m = 0; m < count; m += TILE_COUNT) {
    const int some = count - m < TILE_COUNT ? (int)(count - m) : TILE_COUNT;
    kinds[w->bits == 8][kind](w, activations + m * chunks, chunks, some, first, last, out + m * w->rows);
  }
}

