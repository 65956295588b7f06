// Many rows of activations at once: 16 rows of weights are turned so that each has a lane, and scales are applied once a block.
#pragma once
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

/** Adds one block's products of `count` rows of activations with the panel. */
static inline __attribute__((always_inline)) void add_block(
    const __m512i *turned, const Chunk *a, int count, int nibbles, int lane, int lanes, __m512 scales, __m512 *sums) {
  __m512i ints[16];
  for (int m = 0; m < count; m++) ints[m] = _mm512_set1_epi32(a[m].sums[lane]);
  for (int i = lane; i < lane + lanes; i++) {
    for (int m = 0; m < count; m++) ints[m] = _mm512_dpbusd_epi32(ints[m], turned[i], _mm512_set1_epi32(*(const int32_t *)(a[m].values + 4 * i)));
    if (!nibbles) continue;
    for (int m = 0; m < count; m++) ints[m] = _mm512_dpbusd_epi32(ints[m], turned[16 + i], _mm512_set1_epi32(*(const int32_t *)(a[m].values + 64 + 4 * i)));
  }
  for (int m = 0; m < count; m++) {
    sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(ints[m]), _mm512_mul_ps(scales, _mm512_set1_ps(a[m].scales[lane])), sums[m]);
  }
}

static void panels(const Weights *w, const Chunk *activations, int64_t count, int64_t first, int64_t last, float *out) {
  const int nibbles = w->bits == 4, per_chunk = 512 / w->bits, groups = w->block < per_chunk ? per_chunk / w->block : 1;
  const int64_t row_bytes = w->blocks * w->block * w->bits / 8, chunks = (row_bytes + 63) / 64;
  for (int64_t from = 0; from < count; from += PANEL_ROWS) {
    const int some = count - from < PANEL_ROWS ? (int)(count - from) : PANEL_ROWS;
    for (int64_t row = first; row < last; row += 16) {
      const int wide = last - row < 16 ? (int)(last - row) : 16;
      const __mmask16 present = (__mmask16)((1u << wide) - 1);
      __m512 sums[PANEL_ROWS];
      for (int m = 0; m < some; m++) sums[m] = _mm512_setzero_ps();
      for (int64_t c = 0; c < chunks; c++) {
        const int bytes = c + 1 < chunks ? 64 : (int)(row_bytes - 64 * c);
        __m512i turned[32];
        for (int n = 0; n < 16; n++) turned[n] = n < wide ? load_codes(w->codes + (row + n) * row_bytes + 64 * c, bytes) : _mm512_setzero_si512();
        turn(turned);
        if (nibbles) {
          for (int i = 0; i < 16; i++) {
            turned[16 + i] = high_nibbles(turned[i]);
            turned[i] = low_nibbles(turned[i]);
          }
        }
        for (int g = 0; g < groups; g++) {
          const int64_t block = groups == 1 ? c / (w->block / per_chunk) : c * groups + g;
          if (block >= w->blocks) break;
          const __m512i at = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32((int)w->blocks));
          const __m512 scales = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), present, at, w->scales + row * w->blocks + block, 4);
          const Chunk *a = activations + c * count + from;
          const int lanes = 16 / groups, lane = g * lanes;
          int m = 0;
          for (; m + 16 <= some; m += 16) add_block(turned, a + m, 16, nibbles, lane, lanes, scales, sums + m);
          for (; m + 4 <= some; m += 4) add_block(turned, a + m, 4, nibbles, lane, lanes, scales, sums + m);
          for (; m < some; m++) add_block(turned, a + m, 1, nibbles, lane, lanes, scales, sums + m);
        }
      }
      const __m512 bias = w->bias ? _mm512_maskz_loadu_ps(present, w->bias + row) : _mm512_setzero_ps();
      for (int m = 0; m < some; m++) _mm512_mask_storeu_ps(out + (from + m) * w->rows + row, present, _mm512_add_ps(sums[m], bias));
    }
  }
}
