// arm64.
#pragma once
#include <arm_neon.h>

typedef struct { int32x4_t part[2]; } Sums; // 8

#define FOUR for (int i = 0; i < 4; i++)

static inline Sums no_sums(void) { return (Sums){{vdupq_n_s32(0), vdupq_n_s32(0)}}; }
static inline void store_sums(int32_t *at, Sums sums) {
  vst1q_s32(at, sums.part[0]);
  vst1q_s32(at + 4, sums.part[1]);
}

/** Half a strip, zero where it is not there. */
static inline int8x16_t load_half(const int8_t *at, int half, int channels) {
  return 16 * half < channels ? vld1q_s8(at + 16 * half) : vdupq_n_s8(0);
}

/** A strip of one position: its even channels, then its odd ones. */
typedef struct { int16x8_t part[4]; } Strip;

static inline Strip widen(const int8_t *at, int channels) {
  Strip s;
  for (int i = 0; i < 2; i++) {
    const int16x8_t words = vreinterpretq_s16_s8(load_half(at, i, channels));
    s.part[i] = vshrq_n_s16(vshlq_n_s16(words, 8), 8);
    s.part[2 + i] = vshrq_n_s16(words, 8);
  }
  return s;
}
static inline Sums add_dot(Sums sums, const Strip *a, const Strip *b) {
  FOUR {
    sums.part[0] = vmlal_s16(sums.part[0], vget_low_s16(a->part[i]), vget_low_s16(b->part[i]));
    sums.part[1] = vmlal_high_s16(sums.part[1], a->part[i], b->part[i]);
  }
  return sums;
}

/** Of each of eight the sum of all lanes. */
static inline Sums total_each(const Sums s[8]) {
  int32x4_t whole[8];
  for (int i = 0; i < 8; i++) whole[i] = vaddq_s32(s[i].part[0], s[i].part[1]);
  Sums all;
  for (int i = 0; i < 2; i++) {
    const int32x4_t *four = whole + 4 * i;
    all.part[i] = vpaddq_s32(vpaddq_s32(four[0], four[1]), vpaddq_s32(four[2], four[3]));
  }
  return all;
}

/** A strip of two positions. */
typedef struct { int16x8_t first[4], second[4]; } Pairs;

static inline Pairs side_by_side(const int8_t *first, const int8_t *second, int channels) {
  Pairs p;
  for (int i = 0; i < 2; i++) {
    const int8x16_t a = load_half(first, i, channels), b = load_half(second, i, channels);
    p.first[2 * i] = vmovl_s8(vget_low_s8(a)), p.first[2 * i + 1] = vmovl_high_s8(a);
    p.second[2 * i] = vmovl_s8(vget_low_s8(b)), p.second[2 * i + 1] = vmovl_high_s8(b);
  }
  return p;
}

/** Adds two positions, each times its weight. */
static inline void add_weighted(Sums sums[4], const Pairs *pairs, const int16_t weights[2]) {
  FOUR {
    int32x4_t *part = sums[i].part;
    part[0] = vmlal_n_s16(part[0], vget_low_s16(pairs->first[i]), weights[0]);
    part[0] = vmlal_n_s16(part[0], vget_low_s16(pairs->second[i]), weights[1]);
    part[1] = vmlal_high_n_s16(part[1], pairs->first[i], weights[0]);
    part[1] = vmlal_high_n_s16(part[1], pairs->second[i], weights[1]);
  }
}

/** A strip of sums in the order of the channels; there is no bias to take away. */
static inline void store_weighted(int32_t *at, const Sums sums[4], int32_t total) {
  (void)total;
  FOUR store_sums(at + 8 * i, sums[i]);
}
