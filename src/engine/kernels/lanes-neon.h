// arm64 with dot products (Armv8.2-A, as Orin's Cortex-A78AE): signed by signed, so bytes lose their zero point on the way in.
#pragma once
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

typedef struct { uint8x16_t part[4]; } Codes;
typedef struct { int32x4_t part[4]; } Ints;
typedef struct { float32x4_t part[4]; } Floats;

#define EACH for (int i = 0; i < 4; i++)

/** A tile of several rows of activations: so many, by so many of weights; its sums are kept in registers. */
#define TILE_COUNT 2
#define TILE_WIDE 2

static const int zero_of_bytes = 0;

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
static inline Codes same_code(int code) {
  Codes c;
  EACH c.part[i] = vdupq_n_u8((uint8_t)code);
  return c;
}
static inline Ints load_ints(const int32_t *at) {
  Ints x;
  EACH x.part[i] = vld1q_s32(at + 4 * i);
  return x;
}
static inline void store_ints(int32_t *at, Ints x) { EACH vst1q_s32(at + 4 * i, x.part[i]); }
static inline Ints dot(Ints sum, Codes codes, const int8_t *values) {
  EACH sum.part[i] = vdotq_s32(sum.part[i], vreinterpretq_s8_u8(codes.part[i]), vld1q_s8(values + 16 * i));
  return sum;
}
static inline Floats same(float x) {
  Floats f;
  EACH f.part[i] = vdupq_n_f32(x);
  return f;
}
static inline Floats zeros(void) { return same(0); }
static inline Floats load_floats(const float *at) {
  Floats f;
  EACH f.part[i] = vld1q_f32(at + 4 * i);
  return f;
}
static inline Floats times(Floats a, Floats b) {
  EACH a.part[i] = vmulq_f32(a.part[i], b.part[i]);
  return a;
}
static inline Floats add_scaled(Floats sum, Ints ints, Floats scales) {
  EACH sum.part[i] = vfmaq_f32(sum.part[i], vcvtq_f32_s32(ints.part[i]), scales.part[i]);
  return sum;
}
static inline float total(Floats x) {
  return vaddvq_f32(vaddq_f32(vaddq_f32(x.part[0], x.part[1]), vaddq_f32(x.part[2], x.part[3])));
}
static inline void prefetch(const void *at) { __builtin_prefetch(at); }
