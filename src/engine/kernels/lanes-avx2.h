// x86-64 with AVX2 only: pairs of products fit 16 bits because codes are at most 128 in magnitude and activations 127.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct { __m256i part[2]; } Codes;
typedef struct { __m256i part[2]; } Ints;

#define EACH for (int i = 0; i < 2; i++)

/** Rows of activations in a tile. */
#define TILE_COUNT 4

/** Whether the codes of four rows of weights fit the registers. */
enum { codes_fit = 0 };

/** What a code of zero is to `dot`, where codes are bytes. */
enum { zero_of_bytes = 0 };

static inline int has_lanes(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static inline Codes load_codes(const uint8_t *at, int bytes) {
  uint8_t some[64] = {0};
  if (bytes < 64) at = memcpy(some, at, (size_t)bytes);
  Codes c;
  EACH c.part[i] = _mm256_loadu_si256((const __m256i *)(at + 32 * i));
  return c;
}
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
static inline Ints no_ints(void) { return (Ints){{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
static inline Ints dot(Ints sum, Codes codes, const int8_t *values) {
  EACH {
    const __m256i signs = codes.part[i], a = _mm256_load_si256((const __m256i *)(values + 32 * i));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(signs), _mm256_sign_epi8(a, signs));
    sum.part[i] = _mm256_add_epi32(sum.part[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  return sum;
}

/** The products of nibbles. Four of them fit 16 bits (4 * 2 * 15 * 127), so lanes of one block may stand in one part. */
static inline Ints dot_nibbles(Codes low, Codes high, const int8_t *values, int groups) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i pairs[2];
  EACH {
    const __m256i *a = (const __m256i *)(values + 32 * i);
    pairs[i] = _mm256_add_epi16(_mm256_maddubs_epi16(low.part[i], a[0]), _mm256_maddubs_epi16(high.part[i], a[2]));
  }
  if (groups == 1) return (Ints){{_mm256_madd_epi16(_mm256_add_epi16(pairs[0], pairs[1]), ones), _mm256_setzero_si256()}};
  return (Ints){{_mm256_madd_epi16(pairs[0], ones), _mm256_madd_epi16(pairs[1], ones)}};
}

/** Four activations, for all lanes. */
static inline __m256i four(const int8_t *values) {
  int32_t bits;
  memcpy(&bits, values, sizeof bits);
  return _mm256_set1_epi32(bits);
}

/**
 * Adds `count` steps of a panel times four activations each, for some rows of activations `apart` bytes apart. Sums of nibbles stay in
 * 16 bits for eight steps: 8 * 2 * 15 * 127 fits.
 */
static inline __attribute__((always_inline)) void dot_steps(
    const Codes *steps, int count, const int8_t *values, size_t apart, int rows, int bits, Ints *sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int from = 0; from < count; from += 8) {
    Ints pairs[together];
    for (int m = 0; m < rows; m++) pairs[m] = no_ints();
    for (int s = from; s < count && s < from + 8; s++) {
      for (int m = 0; m < rows; m++) {
        const __m256i a = four(values + (size_t)m * apart + 4 * s);
        EACH {
          const __m256i codes = steps[s].part[i];
          if (bits == 4) pairs[m].part[i] = _mm256_add_epi16(pairs[m].part[i], _mm256_maddubs_epi16(codes, a));
          else pairs[m].part[i] = _mm256_add_epi32(
              pairs[m].part[i], _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(a, codes)), ones));
        }
      }
    }
    for (int m = 0; m < rows; m++) {
      EACH sums[m].part[i] = _mm256_add_epi32(sums[m].part[i], bits == 4 ? _mm256_madd_epi16(pairs[m].part[i], ones) : pairs[m].part[i]);
    }
  }
}

/** Of four rows, whose lanes 0, 1, 4 and 5 come in `even` and the others in `odd`, the sums of pairs of lanes. */
static inline __attribute__((always_inline)) void add_pairs(const __m256i rows[4], __m256i *even, __m256i *odd) {
  const __m256i low01 = _mm256_unpacklo_epi32(rows[0], rows[1]), high01 = _mm256_unpackhi_epi32(rows[0], rows[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(rows[2], rows[3]), high23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
  *even = _mm256_add_epi32(_mm256_unpacklo_epi64(low01, low23), _mm256_unpackhi_epi64(low01, low23));
  *odd = _mm256_add_epi32(_mm256_unpacklo_epi64(high01, high23), _mm256_unpackhi_epi64(high01, high23));
}

/** Of four rows the sums of each of `groups` runs of lanes. */
static inline __attribute__((always_inline)) void add_lanes(const Ints rows[4], int groups, FourInts *totals) {
  __m256i four[4], even, odd;
  if (groups == 1) {
    for (int n = 0; n < 4; n++) four[n] = _mm256_add_epi32(rows[n].part[0], rows[n].part[1]);
    add_pairs(four, &even, &odd);
    const __m256i both = _mm256_add_epi32(even, odd);
    totals[0] = (FourInts)_mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    return;
  }
  FourInts eighths[8];
  EACH {
    for (int n = 0; n < 4; n++) four[n] = rows[n].part[i];
    add_pairs(four, &even, &odd);
    eighths[4 * i] = (FourInts)_mm256_castsi256_si128(even);
    eighths[4 * i + 1] = (FourInts)_mm256_castsi256_si128(odd);
    eighths[4 * i + 2] = (FourInts)_mm256_extracti128_si256(even, 1);
    eighths[4 * i + 3] = (FourInts)_mm256_extracti128_si256(odd, 1);
  }
  for (int g = 0; g < groups; g++) {
    totals[g] = eighths[g * 8 / groups];
    for (int i = 1; i < 8 / groups; i++) totals[g] += eighths[g * 8 / groups + i];
  }
}
static inline Four multiply_add(Four a, Four b, Four sum) { return _mm_fmadd_ps(a, b, sum); }
static inline void prefetch(const void *at) { _mm_prefetch((const char *)at, _MM_HINT_T0); }
