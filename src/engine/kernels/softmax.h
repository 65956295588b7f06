// The weights of a block of positions, rounded to 15 bits against the block's largest.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { block = 64 };

/** What the largest weight of a block becomes. */
static const float most_weight = 32767;

/** Added to a small number, it leaves the nearest whole number in the low bits. */
static const float rounder = 12582912;

static inline int32_t bits_of(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/** Exponents below this make no difference. */
static inline float bounded(float x) { return x > -126 ? x : -126; }

/** 2 to the power of `x`, from -126 to 0: its Taylor polynomial around the nearest whole number, to 3e-6. */
static inline float power_of_two(float x) {
  const float rounded = x + rounder, part = x - (rounded - rounder);
  float y = 1.3333558e-3f;
  y = fmaf(y, part, 9.6181291e-3f);
  y = fmaf(y, part, 5.5504109e-2f);
  y = fmaf(y, part, 2.4022651e-1f);
  y = fmaf(y, part, 6.9314718e-1f);
  y = fmaf(y, part, 1);
  const int32_t bits = bits_of(y) + (int32_t)((uint32_t)bits_of(rounded) << 23);
  memcpy(&y, &bits, sizeof y);
  return y;
}

/** Of `count` scores (exponents of two) the largest, and weights against it; the block's other weights are zero. Returns their sum. */
static inline __attribute__((always_inline)) int32_t weights_of(float scores[block], int count, float *largest, int16_t weights[block]) {
  float most = -INFINITY;
  for (int p = count; p < block; p++) scores[p] = -INFINITY;
#pragma omp simd reduction(max : most)
  for (int p = 0; p < block; p++) most = scores[p] > most ? scores[p] : most;
  // A loop of its own: within the next one it would become a branch, and that loop would not be vectorised.
  for (int p = 0; p < block; p++) scores[p] = bounded(scores[p] - most);
  int32_t total = 0;
#pragma omp simd reduction(+ : total)
  for (int p = 0; p < block; p++) {
    const int32_t weight = bits_of(fmaf(power_of_two(scores[p]), most_weight, rounder)) & 0x7fff;
    weights[p] = (int16_t)weight;
    total += weight;
  }
  *largest = most;
  return total;
}
