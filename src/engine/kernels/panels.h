// Many rows of activations at once where 16 lanes come in parts (AVX2, arm64): 16 rows of weights are turned so that each has a lane, and
// scales are applied once a block. AVX-512 has panels of its own, in whole registers.
#pragma once
#include <string.h>
#include "product.h"

#define HAS_PANELS

/** Rows of activations whose sums are kept beside a panel. */
enum { panel_rows = 256 };

/** Sixteen rows of sixteen 32-bit lanes become sixteen columns. */
INLINE void turn(Codes rows[16]) {
  FourInts turned[16][4];
  for (int r = 0; r < 4; r++) {
    for (int c = 0; c < 4; c++) {
      FourInts from[4];
      for (int n = 0; n < 4; n++) memcpy(&from[n], (const uint8_t *)&rows[4 * r + n] + 16 * c, 16);
      const FourInts low01 = __builtin_shuffle(from[0], from[1], (FourInts){0, 4, 1, 5});
      const FourInts low23 = __builtin_shuffle(from[2], from[3], (FourInts){0, 4, 1, 5});
      const FourInts high01 = __builtin_shuffle(from[0], from[1], (FourInts){2, 6, 3, 7});
      const FourInts high23 = __builtin_shuffle(from[2], from[3], (FourInts){2, 6, 3, 7});
      turned[4 * c][r] = __builtin_shuffle(low01, low23, (FourInts){0, 1, 4, 5});
      turned[4 * c + 1][r] = __builtin_shuffle(low01, low23, (FourInts){2, 3, 6, 7});
      turned[4 * c + 2][r] = __builtin_shuffle(high01, high23, (FourInts){0, 1, 4, 5});
      turned[4 * c + 3][r] = __builtin_shuffle(high01, high23, (FourInts){2, 3, 6, 7});
    }
  }
  memcpy(rows, turned, sizeof turned);
}

/** Chunk `c` of up to 16 rows of weights, one lane a row: 16 steps of bytes, or 16 of low nibbles and then 16 of high ones. */
INLINE void load_panel(const Weights *w, int64_t row, int wide, int64_t c, Codes steps[32]) {
  const int64_t row_bytes = bytes_in_row(w);
  const int bytes = row_bytes - 64 * c < 64 ? (int)(row_bytes - 64 * c) : 64;
  for (int n = 0; n < 16; n++) steps[n] = load_codes(w->codes + (n < wide ? row + n : row) * row_bytes + 64 * c, bytes);
  turn(steps);
  for (int i = 0; i < 16; i++) {
    if (w->bits == 4) steps[16 + i] = high_nibbles(steps[i]);
    steps[i] = w->bits == 4 ? low_nibbles(steps[i]) : plain_bytes(steps[i]);
  }
}

/** Adds the products of `count` rows of activations with block `group` of a chunk of the panel: its `lanes` steps. */
INLINE void add_block(
    const Codes *steps, const Chunk *a, int count, int bits, int group, int lanes, const Four scales[4], Four (*sums)[4]) {
  Ints ints[together];
  for (int m = 0; m < count; m++) ints[m] = no_ints();
  const int first = group * lanes;
  dot_steps(steps + first, lanes, a->values + 4 * first, sizeof *a, count, bits, ints);
  if (bits == 4) dot_steps(steps + 16 + first, lanes, a->values + 64 + 4 * first, sizeof *a, count, bits, ints);
  for (int m = 0; m < count; m++) {
    FourInts totals[4];
    memcpy(totals, &ints[m], sizeof totals);
    for (int i = 0; i < 4; i++) {
      const Four whole = __builtin_convertvector(totals[i] + a[m].zeros[group], Four);
      sums[m][i] = multiply_add(whole, scales[i] * a[m].scales[group], sums[m][i]);
    }
  }
}

/** The sums of a panel: 16 rows of weights, `wide` of them there, by `some` rows of activations; their chunks lie `count` apart. */
INLINE void panel(
    const Weights *w, const Chunk *activations, int64_t count, int some, int64_t row, int wide, int bits, Four (*sums)[4]) {
  const int groups = groups_in(w), lanes = 16 / groups;
  const int64_t chunks = chunks_in(w);
  memset(sums, 0, sizeof *sums * (size_t)some);
  for (int64_t c = 0; c < chunks; c++) {
    const Chunk *a = activations + c * count;
    Codes steps[32];
    load_panel(w, row, wide, c, steps);
    for (int g = 0; g < groups; g++) {
      const int64_t block = groups == 1 ? c * columns_in_chunk(w) / w->block : c * groups + g;
      if (block >= w->blocks) break;
      float each[16];
      for (int n = 0; n < 16; n++) each[n] = w->scales[(n < wide ? row + n : row) * w->blocks + block];
      Four scales[4];
      memcpy(scales, each, sizeof scales);
      int m = 0;
      for (; m + together <= some; m += together) add_block(steps, a + m, together, bits, g, lanes, scales, sums + m);
      for (; m < some; m++) add_block(steps, a + m, 1, bits, g, lanes, scales, sums + m);
    }
  }
}

static void panels(const Weights *w, const Chunk *activations, int64_t count, int64_t first, int64_t last, float *out) {
  Four sums[panel_rows][4];
  for (int64_t from = 0; from < count; from += panel_rows) {
    const int some = count - from < panel_rows ? (int)(count - from) : panel_rows;
    for (int64_t row = first; row < last; row += 16) {
      const int wide = last - row < 16 ? (int)(last - row) : 16;
      if (w->bits == 4) panel(w, activations + from, count, some, row, wide, 4, sums);
      else panel(w, activations + from, count, some, row, wide, 8, sums);
      for (int m = 0; m < some; m++) {
        float *to = out + (from + m) * w->rows + row;
        for (int n = 0; n < wide; n++) to[n] = sums[m][n / 4][n % 4] + (w->bias ? w->bias[row + n] : 0);
      }
    }
  }
}
