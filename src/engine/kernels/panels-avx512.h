// Many rows of activations at once: 16 rows of weights are turned so that each has a lane, and scales are applied once a block.
#pragma once
#include <string.h>
#include "lanes-avx512.h"
#include "product.h"

#define HAS_PANELS

/** Rows of activations whose sums are kept beside a panel. */
#define PANEL_ROWS 256

/** Sixteen rows of sixteen 32-bit lanes become sixteen columns. */
static inline void turn(__m512i r[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

/** Four activations, for all lanes. */
static inline __m512i four(const int8_t *values) {
  int32_t bits;
  memcpy(&bits, values, sizeof bits);
  return _mm512_set1_epi32(bits);
}

/** Chunk `c` of up to 16 rows of weights, one lane a row: 16 steps of bytes, or 16 of low nibbles and then 16 of high ones. */
static inline void load_panel(const Weights *w, int64_t row, int wide, int64_t c, __m512i steps[32]) {
  const int64_t row_bytes = bytes_in_row(w);
  const int bytes = row_bytes - 64 * c < 64 ? (int)(row_bytes - 64 * c) : 64;
  for (int n = 0; n < 16; n++) steps[n] = n < wide ? load_codes(w->codes + (row + n) * row_bytes + 64 * c, bytes) : _mm512_setzero_si512();
  turn(steps);
  if (w->bits == 8) return;
  for (int i = 0; i < 16; i++) {
    steps[16 + i] = high_nibbles(steps[i]);
    steps[i] = low_nibbles(steps[i]);
  }
}

/** The scales of block `block` of rows of weights, one lane a row. */
static inline __m512 load_scales(const Weights *w, int64_t row, __mmask16 present, int64_t block) {
  const __m512i rows = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i at = _mm512_mullo_epi32(rows, _mm512_set1_epi32((int)w->blocks));
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), present, at, w->scales + row * w->blocks + block, 4);
}

/** Adds the products of `count` rows of activations with block `group` of a chunk of the panel: its `lanes` steps. */
INLINE void add_block(const __m512i *steps, const Chunk *a, int count, int bits, int group, int lanes, __m512 scales, __m512 *sums) {
  __m512i ints[16];
  for (int m = 0; m < count; m++) ints[m] = _mm512_set1_epi32(a[m].zeros[group]);
  for (int i = group * lanes; i < (group + 1) * lanes; i++) {
    for (int m = 0; m < count; m++) ints[m] = _mm512_dpbusd_epi32(ints[m], steps[i], four(a[m].values + 4 * i));
    if (bits == 8) continue;
    for (int m = 0; m < count; m++) ints[m] = _mm512_dpbusd_epi32(ints[m], steps[16 + i], four(a[m].values + 64 + 4 * i));
  }
  for (int m = 0; m < count; m++) {
    const __m512 factors = _mm512_mul_ps(scales, _mm512_set1_ps(a[m].scales[group]));
    sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(ints[m]), factors, sums[m]);
  }
}

/** The sums of a panel: 16 rows of weights, `wide` of them there, by `some` rows of activations; their chunks lie `count` apart. */
static void panel(const Weights *w, const Chunk *activations, int64_t count, int some, int64_t row, int wide, __m512 *sums) {
  const int groups = groups_in(w), lanes = 16 / groups;
  const int64_t chunks = chunks_in(w);
  const __mmask16 present = (__mmask16)((1u << wide) - 1);
  for (int m = 0; m < some; m++) sums[m] = _mm512_setzero_ps();
  for (int64_t c = 0; c < chunks; c++) {
    const Chunk *a = activations + c * count;
    __m512i steps[32];
    load_panel(w, row, wide, c, steps);
    for (int g = 0; g < groups; g++) {
      const int64_t block = groups == 1 ? c * columns_in_chunk(w) / w->block : c * groups + g;
      if (block >= w->blocks) break;
      const __m512 scales = load_scales(w, row, present, block);
      int m = 0;
      for (; m + 16 <= some; m += 16) add_block(steps, a + m, 16, w->bits, g, lanes, scales, sums + m);
      for (; m + 4 <= some; m += 4) add_block(steps, a + m, 4, w->bits, g, lanes, scales, sums + m);
      for (; m < some; m++) add_block(steps, a + m, 1, w->bits, g, lanes, scales, sums + m);
    }
  }
}

static void panels(const Weights *w, const Chunk *activations, int64_t count, int64_t first, int64_t last, float *out) {
  __m512 sums[PANEL_ROWS];
  for (int64_t from = 0; from < count; from += PANEL_ROWS) {
    const int some = count - from < PANEL_ROWS ? (int)(count - from) : PANEL_ROWS;
    for (int64_t row = first; row < last; row += 16) {
      const int wide = last - row < 16 ? (int)(last - row) : 16;
      const __mmask16 present = (__mmask16)((1u << wide) - 1);
      panel(w, activations + from, count, some, row, wide, sums);
      const __m512 bias = w->bias ? _mm512_maskz_loadu_ps(present, w->bias + row) : _mm512_setzero_ps();
      for (int m = 0; m < some; m++) {
        _mm512_mask_storeu_ps(out + (from + m) * w->rows + row, present, _mm512_add_ps(sums[m], bias));
      }
    }
  }
}
