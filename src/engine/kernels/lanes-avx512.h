// x86-64 with AVX-512 VNNI: unsigned codes times signed activations.
#pragma once
#include <immintrin.h>
#include <stdint.h>

typedef __m512i Codes;
typedef __m512i Ints;
typedef __m512 Floats;

/** A tile of several rows of activations: so many, by so many of weights; its sums are kept in registers. */
#define TILE_COUNT 4
#define TILE_WIDE 4

static const int zero_of_bytes = 128;

static inline int has_lanes(void) {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

static inline Codes load_codes(const uint8_t *at, int bytes) {
  return bytes == 64 ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi8((1ull << bytes) - 1, at);
}
static inline Codes low_nibbles(Codes c) { return _mm512_and_si512(c, _mm512_set1_epi8(15)); }
static inline Codes high_nibbles(Codes c) { return _mm512_and_si512(_mm512_srli_epi16(c, 4), _mm512_set1_epi8(15)); }
static inline Codes plain_bytes(Codes c) { return c; }
static inline Codes same_code(int code) { return _mm512_set1_epi8((char)code); }
static inline Ints load_ints(const int32_t *at) { return _mm512_load_si512(at); }
static inline void store_ints(int32_t *at, Ints x) { _mm512_store_si512(at, x); }
static inline Ints dot(Ints sum, Codes codes, const int8_t *values) {
  return _mm512_dpbusd_epi32(sum, codes, _mm512_load_si512(values));
}
static inline Floats zeros(void) { return _mm512_setzero_ps(); }
static inline Floats add_scaled(Floats sum, Ints ints, Floats scales) { return _mm512_fmadd_ps(_mm512_cvtepi32_ps(ints), scales, sum); }
static inline Floats same(float x) { return _mm512_set1_ps(x); }
static inline Floats load_floats(const float *at) { return _mm512_loadu_ps(at); }
static inline Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
static inline float total(Floats x) { return _mm512_reduce_add_ps(x); }

/** `groups` scales, each for 16 / groups lanes; only `present` of them are there to be read. */
static inline Floats spread(const float *scales, int groups, int present) {
  const __m512 some = _mm512_maskz_loadu_ps((1u << present) - 1, scales);
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_permutexvar_ps(_mm512_srli_epi32(lane, 4 - __builtin_ctz(groups)), some);
}
static inline void prefetch(const void *at) { _mm_prefetch((const char *)at, _MM_HINT_T0); }
