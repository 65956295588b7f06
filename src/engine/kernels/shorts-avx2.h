// x86-64, with AVX-512 too: there a product is added in the same instruction.
#pragma once
#include <immintrin.h>
#include <string.h>

typedef __m256i Sums; // 8

static inline Sums no_sums(void) { return _mm256_setzero_si256(); }
static inline void store_sums(int32_t *at, Sums sums) { _mm256_store_si256((__m256i *)at, sums); }

/** A strip of which `channels` are there, 32 or 16; the others are zero. */
static inline __m256i load_bytes(const int8_t *at, int channels) {
  if (channels == strip) return _mm256_loadu_si256((const __m256i *)at);
  return _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)at));
}

/** Lane i gains the products of lanes 2i and 2i + 1. */
static inline Sums add_products(Sums sums, __m256i a, __m256i b) {
#ifdef __AVX512VNNI__
  return _mm256_dpwssd_epi32(sums, a, b);
#else
  return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
#endif
}

/** A strip of one position: its even channels, then its odd ones. */
typedef struct { __m256i part[2]; } Strip;

static inline Strip widen(const int8_t *at, int channels) {
  const __m256i bytes = load_bytes(at, channels);
  return (Strip){{_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)}};
}
static inline Sums add_dot(Sums sums, const Strip *a, const Strip *b) {
  return add_products(add_products(sums, a->part[0], b->part[0]), a->part[1], b->part[1]);
}

/** Of each of eight the sum of all lanes. */
static inline Sums total_each(const Sums s[8]) {
  const __m256i low = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
  const __m256i high = _mm256_hadd_epi32(_mm256_hadd_epi32(s[4], s[5]), _mm256_hadd_epi32(s[6], s[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
}

/** A strip of two positions side by side, with 128 added so that bytes need no sign; in the order that unpacking makes. */
typedef struct { __m256i part[4]; } Pairs;

static inline Pairs side_by_side(const int8_t *first, const int8_t *second, int channels) {
  const __m256i bias = _mm256_set1_epi8((char)128), zero = _mm256_setzero_si256();
  const __m256i a = _mm256_xor_si256(load_bytes(first, channels), bias), b = _mm256_xor_si256(load_bytes(second, channels), bias);
  const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
  return (Pairs){{
      _mm256_unpacklo_epi8(low, zero), _mm256_unpackhi_epi8(low, zero), _mm256_unpacklo_epi8(high, zero), _mm256_unpackhi_epi8(high, zero)}};
}

/** Adds two positions, each times its weight. */
static inline void add_weighted(Sums sums[4], const Pairs *pairs, const int16_t weights[2]) {
  int32_t both;
  memcpy(&both, weights, sizeof both);
  for (int i = 0; i < 4; i++) sums[i] = add_products(sums[i], pairs->part[i], _mm256_set1_epi32(both));
}

/** A strip of sums in the order of the channels, without what the 128 have added to weights of `total`. */
static inline void store_weighted(int32_t *at, const Sums sums[4], int32_t total) {
  const __m256i bias = _mm256_set1_epi32(128 * total);
  for (int i = 0; i < 4; i += 2) {
    const __m256i a = _mm256_sub_epi32(sums[i], bias), b = _mm256_sub_epi32(sums[i + 1], bias);
    store_sums(at + 4 * i, _mm256_permute2x128_si256(a, b, 0x20));
    store_sums(at + 4 * i + 16, _mm256_permute2x128_si256(a, b, 0x31));
  }
}
