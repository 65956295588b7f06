// Products of float activations with weights in blocks of int4 or int8, straight from the package's file: no copy in another layout.
#pragma once
#include <stdint.h>

/** A weight matrix [rows, columns] as MatMulNBits has it: a block of columns has one scale, and rows are filled up to whole blocks. */
typedef struct {
  const uint8_t *codes; // [rows, blocks, block * bits / 8], low nibble first, 8 (int4) or 128 (int8) is zero
  const float *scales;  // [rows, blocks]
  const float *bias;    // [rows] or null
  int64_t rows, columns, blocks;
  int bits, block;
} Weights;

/**
 * A chunk is what 64 bytes of codes hold: 128 columns of int4, 64 of int8. Its activations are rounded to int8 with one scale for each
 * block in it (for the chunk, if blocks are larger), even columns first where codes are nibbles. Lane i of 16 multiplies bytes 4i to
 * 4i+3 of the chunk; blocks in it have as many lanes each.
 */
typedef struct {
  int8_t values[128];
  float scales[8];     // of each block
  int32_t zeros[8];    // what the zero point of the codes has added to each block's sum, with the sign that takes it away
} __attribute__((aligned(64))) Chunk;

#define INLINE static inline __attribute__((always_inline))

static inline int columns_in_chunk(const Weights *w) { return 512 / w->bits; }
static inline int64_t bytes_in_row(const Weights *w) { return w->blocks * w->block * w->bits / 8; }
static inline int64_t chunks_in(const Weights *w) { return (bytes_in_row(w) + 63) / 64; }
/** Blocks in a chunk, at least one. */
static inline int groups_in(const Weights *w) { return w->block < columns_in_chunk(w) ? columns_in_chunk(w) / w->block : 1; }

/** Rounds one row of activations [columns]; its chunks lie `stride` apart in `chunks`. */
void round_row(const Weights *weights, const float *row, Chunk *chunks, int64_t stride);

/** Whether so many rows of activations lie with the chunks of all rows together, [chunks, count], and not row after row. */
int in_panels(int64_t count);

/**
 * out[m, n] for all m < count and first <= n < last; `out` is [count, weights->rows], `activations` as `in_panels` says. Sums of a block
 * are whole numbers, and blocks are added up one after the other: a row has the same bits whatever `count` is, on every processor.
 */
void multiply(const Weights *weights, const Chunk *activations, int64_t count, int64_t first, int64_t last, float *out);

/** Whether this processor has the instructions that the library was compiled for. */
int supported(void);
