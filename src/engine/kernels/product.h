// Products of float activations with weights in blocks of int4 or int8, straight from the package's file: no copy in another layout.
#pragma once
#include <stdint.h>

/** A weight matrix [rows, columns] as MatMulNBits has it; a block is that many columns with one scale. Columns are filled up to whole blocks. */
typedef struct {
  const uint8_t *codes; // [rows, blocks, block * bits / 8], low nibble first, 8 (int4) or 128 (int8) is zero
  const float *scales;  // [rows, blocks]
  const float *bias;    // [rows] or null
  int64_t rows, columns, blocks;
  int bits, block;
} Weights;

/**
 * A chunk is what 64 bytes of codes hold: 128 columns of int4, 64 of int8. Its activations are rounded to int8 with one scale for each
 * block in it (for each chunk, if blocks are larger), even columns first where codes are nibbles. Dot products come as 16 lanes of int32,
 * lane i over bytes 4i to 4i+3 of the chunk; `corrections` takes away what the codes' zero point adds to each.
 */
typedef struct {
  int8_t values[128];
  int32_t corrections[16];
  float scales[16];
  int32_t sums[16]; // corrections of a block's lanes together, at its first lane
} __attribute__((aligned(64))) Chunk;

/** Chunks in a row of activations. */
int64_t chunks_in(const Weights *weights);

/** Rounds one row of activations [columns]; its chunks lie `stride` apart in `chunks`. */
void round_row(const Weights *weights, const float *row, Chunk *chunks, int64_t stride);

/**
 * Rows of activations lie one after the other, but in panels the chunks of all rows come together: [chunks, count].
 */
int in_panels(int64_t count);

/**
 * out[m, n] for all m < count and first <= n < last; `out` is [count, weights->rows], `activations` as `in_panels` says. A row of the result has the same bits whatever
 * `count` is, up to `MOST_ALIKE` of them; beyond that blocks are added up in another order, which is faster for many rows.
 */
void multiply(const Weights *weights, const Chunk *activations, int64_t count, int64_t first, int64_t last, float *out);

#define MOST_ALIKE 16

/** Whether this processor has the instructions that the library was compiled for. */
int supported(void);
