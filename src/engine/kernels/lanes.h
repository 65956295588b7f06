// What the products need of a processor: 64 bytes of codes against 64 rounded activations, in 16 lanes.
#pragma once
#if defined(__AVX512VNNI__)
#include "lanes-avx512.h"
#include "panels-avx512.h"
#elif defined(__AVX2__)
#include "lanes-avx2.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "lanes-neon.h"
#else
#error "there are no lanes for this processor: the runtime's own products serve it"
#endif

#ifndef HAS_PANELS
/** `groups` scales, each for 16 / groups lanes; only `present` of them are there to be read. */
static inline Floats spread(const float *scales, int groups, int present) {
  float lanes[16] = {0};
  for (int lane = 0; lane < 16; lane++) {
    const int group = lane * groups / 16;
    if (group < present) lanes[lane] = scales[group];
  }
  return load_floats(lanes);
}
#endif
