// Holds the products of src/engine/kernels against sums in double, for every kind of block: `products-check` prints how many kinds it
// looked at, and a digest of all results, and ends with 1 when one is wrong.
// For processors that this machine only emulates (test/e2e/kernels.test.ts).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "product.h"

enum { weight_rows = 101, most_columns = 1100, count = 43, several = 7 };

static float activations[count * most_columns], scales[weight_rows * most_columns], out[count * weight_rows], alone[count * weight_rows];
static uint8_t codes[weight_rows * (most_columns + 256)];

/** Of all results so far (FNV-1a), to compare processors. */
static uint64_t digest = 14695981039346656037u;

static void take_in(const void *data, size_t size) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < size; i++) digest = (digest ^ bytes[i]) * 1099511628211u;
}

static float between(void) { return (float)(rand() % 2001 - 1000) / 1000; }

/** The exact product of two rows. */
static double exact(const Weights *w, int64_t m, int64_t n) {
  double sum = 0;
  for (int64_t k = 0; k < w->columns; k++) {
    const int64_t block = n * w->blocks + k / w->block, within = k % w->block;
    const int64_t at = block * w->block + within;
    const int code = w->bits == 8 ? codes[at] - 128 : (codes[at / 2] >> (within % 2 * 4) & 15) - 8;
    sum += (double)activations[m * w->columns + k] * code * scales[block];
  }
  return sum;
}

/** Root mean square of the error over that of the result, for `rows` rows of activations. */
static double error_of(const Weights *w, Chunk *chunks, int64_t rows) {
  const int64_t per_row = chunks_in(w), stride = in_panels(rows) ? rows : 1;
  for (int64_t m = 0; m < rows; m++) round_row(w, activations + m * w->columns, chunks + m * (in_panels(rows) ? 1 : per_row), stride);
  multiply(w, chunks, rows, 0, w->rows, out);
  double errors = 0, all = 0;
  for (int64_t m = 0; m < rows; m++) {
    for (int64_t n = 0; n < w->rows; n++) {
      const double truth = exact(w, m, n);
      errors += (out[m * w->rows + n] - truth) * (out[m * w->rows + n] - truth);
      all += truth * truth;
    }
  }
  return sqrt(errors / all);
}

/** Not inlined, so that nothing of it runs where the processor cannot. */
static __attribute__((noinline)) int check(void) {
  int kinds = 0, wrong = 0;
  for (int bits = 4; bits <= 8; bits += 4) {
    for (int block = 16; block <= 256; block *= 2) {
      for (int64_t columns = 40; columns <= most_columns; columns = columns * 5 / 2 + columns % 3) {
        for (size_t i = 0; i < sizeof codes; i++) codes[i] = (uint8_t)(rand() >> 7);
        for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) scales[i] = between();
        for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) activations[i] = between();
        // The largest sums there are: every code and every rounded activation at its end.
        memset(codes, 255, sizeof codes / weight_rows);
        for (int64_t i = 0; i < columns; i++) activations[i] = 1;
        Weights w = {.codes = codes, .scales = scales, .rows = weight_rows, .columns = columns, .bits = bits, .block = block};
        w.blocks = (columns + block - 1) / block;
        Chunk *chunks = aligned_alloc(64, (size_t)(count * chunks_in(&w)) * sizeof(Chunk));
        for (int64_t m = 0; m < count; m++) {
          round_row(&w, activations + m * columns, chunks, 1);
          multiply(&w, chunks, 1, 0, w.rows, alone + m * w.rows);
        }
        take_in(alone, sizeof alone);
        const double many = error_of(&w, chunks, count);
        int differ = memcmp(out, alone, sizeof out) != 0;
        const double few = error_of(&w, chunks, several);
        differ |= memcmp(out, alone, sizeof(float) * several * weight_rows) != 0;
        free(chunks);
        kinds++;
        if (many < 0.01 && few < 0.01 && !differ) continue;
        wrong++;
        printf("int%d in blocks of %d, %d columns: errors %g and %g, ", bits, block, (int)columns, many, few);
        puts(differ ? "rows differ" : "rows alike");
      }
    }
  }
  printf("%d kinds, %d wrong, digest %016llx\n", kinds, wrong, (unsigned long long)digest);
  return wrong > 0;
}

int main(void) {
  if (!supported()) return puts("this processor is not one of ours"), 1;
  return check();
}
