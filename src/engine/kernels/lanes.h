// What the products need of a processor: 64 bytes of codes against 64 rounded activations, in 16 lanes of four each.
#pragma once
#include <stdint.h>

/** Of four rows of weights. */
typedef float Four __attribute__((vector_size(16)));
typedef int32_t FourInts __attribute__((vector_size(16)));

/** Rows of activations that take a step of a panel together where lanes come in parts: their sums fit the registers. */
enum { together = 4 };

#if defined(__AVX512VNNI__)
#include "lanes-avx512.h"
#include "panels-avx512.h"
#elif defined(__AVX2__)
#include "lanes-avx2.h"
#include "panels.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "lanes-neon.h"
#include "panels.h"
#else
#error "there are no lanes for this processor: the runtime's own products serve it"
#endif
