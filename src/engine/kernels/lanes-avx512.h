// x86-64 with AVX-512 VNNI: unsigned codes times signed activations.
#pragma once
#include <immintrin.h>
#include <stdint.h>

typedef __m512i Codes;
typedef __m512i Ints;

/** Rows of activations in a tile. */
#define TILE_COUNT 4

/** Whether the codes of four rows of weights fit the registers. */
enum { codes_fit = 1 };

/** What a code of zero is to `dot`, where codes are bytes. */
enum { zero_of_bytes = 128 };

static inline int has_lanes(void) {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

static inline Codes load_codes(const uint8_t *at, int bytes) {
  return bytes == 64 ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi8((1ull << bytes) - 1, at);
}
static inline Codes low_nibbles(Codes c) { return _mm512_and_si512(c, _mm512_set1_epi8(15)); }
static inline Codes high_nibbles(Codes c) { return _mm512_and_si512(_mm512_srli_epi16(c, 4), _mm512_set1_epi8(15)); }
static inline Codes plain_bytes(Codes c) { return c; }
static inline Ints no_ints(void) { return _mm512_setzero_si512(); }
static inline Ints dot(Ints sum, Codes codes, const int8_t *values) {
  return _mm512_dpbusd_epi32(sum, codes, _mm512_load_si512(values));
}

/** The products of nibbles. */
static inline Ints dot_nibbles(Codes low, Codes high, const int8_t *values, int groups) {
  (void)groups;
  return dot(dot(no_ints(), low, values), high, values + 64);
}

/** Of four rows the sums of each of `groups` runs of lanes. */
static inline __attribute__((always_inline)) void add_lanes(const Ints rows[4], int groups, FourInts *totals) {
  const Ints low01 = _mm512_unpacklo_epi32(rows[0], rows[1]), high01 = _mm512_unpackhi_epi32(rows[0], rows[1]);
  const Ints low23 = _mm512_unpacklo_epi32(rows[2], rows[3]), high23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
  if (groups == 8) {
    const Ints even = _mm512_add_epi32(_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23));
    const Ints odd = _mm512_add_epi32(_mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23));
    int32_t each[2][16];
    _mm512_storeu_si512(each[0], even);
    _mm512_storeu_si512(each[1], odd);
    for (int g = 0; g < 8; g++) totals[g] = (FourInts)_mm_loadu_si128((const __m128i *)(each[g % 2] + g / 2 * 4));
    return;
  }
  const Ints sum01 = _mm512_add_epi32(low01, high01), sum23 = _mm512_add_epi32(low23, high23);
  const Ints quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(sum01, sum23), _mm512_unpackhi_epi64(sum01, sum23));
  const __m256i left = _mm512_castsi512_si256(quarters), right = _mm512_extracti64x4_epi64(quarters, 1);
  if (groups == 1) {
    const __m256i both = _mm256_add_epi32(left, right);
    totals[0] = (FourInts)_mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return;
  }
  const __m128i four[4] = {
      _mm256_castsi256_si128(left), _mm256_extracti128_si256(left, 1), _mm256_castsi256_si128(right), _mm256_extracti128_si256(right, 1)};
  for (int g = 0; g < groups; g++) totals[g] = (FourInts)(groups == 4 ? four[g] : _mm_add_epi32(four[2 * g], four[2 * g + 1]));
}
static inline Four multiply_add(Four a, Four b, Four sum) { return _mm_fmadd_ps(a, b, sum); }
static inline void prefetch(const void *at) { _mm_prefetch((const char *)at, _MM_HINT_T0); }
