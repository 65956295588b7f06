// What attention needs of a processor: bytes as 16-bit numbers, and sums of their products in 32 bits. A strip is 32 channels.
#pragma once
#include <stdint.h>

enum { strip = 32 };

#if defined(__AVX2__)
#include "shorts-avx2.h"
#else
#include "shorts-neon.h"
#endif
