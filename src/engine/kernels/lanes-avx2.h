// x86-64 with AVX2 only: pairs of products fit 16 bits because codes are at most 128 in magnitude and activations 127.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct { __m256i part[2]; } Codes;
typedef struct { __m256i part[2]; } Ints;
typedef struct { __m256 part[2]; } Floats;

#define EACH for (int i = 0; i < 2; i++)

/** A tile of several rows of activations: so many, by so many of weights; its sums are kept in registers. */
#define TILE_COUNT 2
#define TILE_WIDE 2

static const int zero_of_bytes = 0;

static inline int has_lanes(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static inline Codes load_codes(const uint8_t *at, int bytes) {
  uint8_t some[64] = {0};
  if (bytes < 64) at = memcpy(some, at, (size_t)bytes);
  Codes c;
  EACH c.part[i] = _mm256_loadu_si256((const __m256i *)(at + 32 * i));
  return c;
}
static inline Codes same_code(int code) { return (Codes){{_mm256_set1_epi8((char)code), _mm256_set1_epi8((char)code)}}; }
static inline Codes low_nibbles(Codes c) {
  EACH c.part[i] = _mm256_and_si256(c.part[i], _mm256_set1_epi8(15));
  return c;
}
static inline Codes high_nibbles(Codes c) {
  EACH c.part[i] = _mm256_and_si256(_mm256_srli_epi16(c.part[i], 4), _mm256_set1_epi8(15));
  return c;
}
static inline Codes plain_bytes(Codes c) {
  EACH c.part[i] = _mm256_xor_si256(c.part[i], _mm256_set1_epi8((char)128));
  return c;
}
static inline Ints load_ints(const int32_t *at) {
  return (Ints){{_mm256_load_si256((const __m256i *)at), _mm256_load_si256((const __m256i *)(at + 8))}};
}
static inline void store_ints(int32_t *at, Ints x) { EACH _mm256_store_si256((__m256i *)(at + 8 * i), x.part[i]); }
static inline Ints dot(Ints sum, Codes codes, const int8_t *values) {
  EACH {
    const __m256i signs = codes.part[i], a = _mm256_load_si256((const __m256i *)(values + 32 * i));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(signs), _mm256_sign_epi8(a, signs));
    sum.part[i] = _mm256_add_epi32(sum.part[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  return sum;
}
static inline Floats same(float x) { return (Floats){{_mm256_set1_ps(x), _mm256_set1_ps(x)}}; }
static inline Floats zeros(void) { return same(0); }
static inline Floats load_floats(const float *at) { return (Floats){{_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)}}; }
static inline Floats times(Floats a, Floats b) {
  EACH a.part[i] = _mm256_mul_ps(a.part[i], b.part[i]);
  return a;
}
static inline Floats add_scaled(Floats sum, Ints ints, Floats scales) {
  EACH sum.part[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(ints.part[i]), scales.part[i], sum.part[i]);
  return sum;
}
static inline float total(Floats x) {
  const __m256 both = _mm256_add_ps(x.part[0], x.part[1]);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline void prefetch(const void *at) { _mm_prefetch((const char *)at, _MM_HINT_T0); }
