// arm64 with dot products (Armv8.2-A, as Orin's Cortex-A78AE): signed by signed, so bytes lose their zero point on the way in.
#pragma once
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

typedef struct { uint8x16_t part[4]; } Codes;
typedef struct { int32x4_t part[4]; } Ints;

#define EACH for (int i = 0; i < 4; i++)

/** Rows of activations in a tile. */
#define TILE_COUNT 2

/** Whether the codes of four rows of weights fit the registers. */
enum { codes_fit = 0 };

/** What a code of zero is to `dot`, where codes are bytes. */
enum { zero_of_bytes = 0 };

static inline int has_lanes(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

static inline Codes load_codes(const uint8_t *at, int bytes) {
  uint8_t some[64] = {0};
  if (bytes < 64) at = memcpy(some, at, (size_t)bytes);
  Codes c;
  EACH c.part[i] = vld1q_u8(at + 16 * i);
  return c;
}
static inline Codes low_nibbles(Codes c) {
  EACH c.part[i] = vandq_u8(c.part[i], vdupq_n_u8(15));
  return c;
}
static inline Codes high_nibbles(Codes c) {
  EACH c.part[i] = vshrq_n_u8(c.part[i], 4);
  return c;
}
static inline Codes plain_bytes(Codes c) {
  EACH c.part[i] = veorq_u8(c.part[i], vdupq_n_u8(128));
  return c;
}
static inline Ints no_ints(void) {
  Ints x;
  EACH x.part[i] = vdupq_n_s32(0);
  return x;
}
static inline Ints dot(Ints sum, Codes codes, const int8_t *values) {
  EACH sum.part[i] = vdotq_s32(sum.part[i], vreinterpretq_s8_u8(codes.part[i]), vld1q_s8(values + 16 * i));
  return sum;
}

/** The products of nibbles. */
static inline Ints dot_nibbles(Codes low, Codes high, const int8_t *values, int groups) {
  (void)groups;
  return dot(dot(no_ints(), low, values), high, values + 64);
}

/** Adds `count` steps of a panel times four activations each, for some rows of activations `apart` bytes apart. */
static inline __attribute__((always_inline)) void dot_steps(
    const Codes *steps, int count, const int8_t *values, size_t apart, int rows, int bits, Ints *sums) {
  (void)bits;
  for (int s = 0; s < count; s++) {
    for (int m = 0; m < rows; m++) {
      int32_t four;
      memcpy(&four, values + (size_t)m * apart + 4 * s, sizeof four);
      const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(four));
      EACH sums[m].part[i] = vdotq_s32(sums[m].part[i], vreinterpretq_s8_u8(steps[s].part[i]), a);
    }
  }
}

/** Of four rows the sums of each of `groups` runs of lanes. */
static inline __attribute__((always_inline)) void add_lanes(const Ints rows[4], int groups, FourInts *totals) {
  FourInts quarters[4];
  EACH {
    const int32x4_t first = vpaddq_s32(rows[0].part[i], rows[1].part[i]), second = vpaddq_s32(rows[2].part[i], rows[3].part[i]);
    if (groups == 8) {
      totals[2 * i] = (FourInts)vuzp1q_s32(first, second);
      totals[2 * i + 1] = (FourInts)vuzp2q_s32(first, second);
    } else {
      quarters[i] = (FourInts)vpaddq_s32(first, second);
    }
  }
  if (groups == 8) return;
  for (int g = 0; g < groups; g++) {
    totals[g] = quarters[g * 4 / groups];
    for (int i = 1; i < 4 / groups; i++) totals[g] += quarters[g * 4 / groups + i];
  }
}
static inline Four multiply_add(Four a, Four b, Four sum) { return (Four)vfmaq_f32((float32x4_t)sum, (float32x4_t)a, (float32x4_t)b); }
static inline void prefetch(const void *at) { __builtin_prefetch(at); }
