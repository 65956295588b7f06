// `deapd.MatMulBlocks`: MatMulNBits of float32 activations, as a custom operator.
#include <stdlib.h>
#include "ort.h"
#include "product.h"

/** A piece of work is no less than so many multiplications: fewer are not worth handing to another thread. */
static const int64_t smallest_piece = 1 << 18;

/** Few pieces a thread, because memory gives most in long streams; more than one, for threads that other programs hold up. */
static const int64_t pieces_per_thread = 2;

/** Activations are rounded in pieces of so many rows. */
enum { rounded_rows = 8 };

typedef struct {
  const OrtApi *api;
  Weights shape;
  int64_t threads;
} Kernel;

/** One call of the operator. */
typedef struct {
  Weights weights;
  const float *in;
  float *out;
  Chunk *chunks;
  int64_t count, piece_rows;
} Run;

static void round_some(void *user, size_t index) {
  const Run *run = user;
  const int64_t chunks = chunks_in(&run->weights), from = (int64_t)index * rounded_rows;
  const int64_t to = from + rounded_rows < run->count ? from + rounded_rows : run->count;
  const int turned = in_panels(run->count);
  for (int64_t m = from; m < to; m++) {
    round_row(&run->weights, run->in + m * run->weights.columns, run->chunks + m * (turned ? 1 : chunks), turned ? run->count : 1);
  }
}

static void multiply_some(void *user, size_t index) {
  const Run *run = user;
  const int64_t from = (int64_t)index * run->piece_rows;
  const int64_t to = from + run->piece_rows < run->weights.rows ? from + run->piece_rows : run->weights.rows;
  multiply(&run->weights, run->chunks, run->count, from, to, run->out);
}

/** A multiple of 16, as wide as a panel. */
static int64_t rows_of_a_piece(const Weights *weights, int64_t count, int64_t threads) {
  const int64_t fair = weights->rows / (threads * pieces_per_thread), least = smallest_piece / (weights->columns * count);
  return ((fair > least ? fair : least) + 15) / 16 * 16;
}

static OrtStatus *compute(void *state, OrtKernelContext *context) {
  const Kernel *kernel = state;
  const OrtApi *api = kernel->api;
  Run run = {.weights = kernel->shape, .count = 1};
  int64_t dimensions[most_dimensions];
  size_t ranks, inputs;
  TRY(dimensions_of(api, context, 0, dimensions, &ranks));
  if (dimensions[ranks - 1] != run.weights.columns) return failed(api, "MatMulBlocks: activations of another width than the weights");
  for (size_t i = 0; i + 1 < ranks; i++) run.count *= dimensions[i];
  dimensions[ranks - 1] = run.weights.rows;
  TRY(output(api, context, 0, dimensions, ranks, (void **)&run.out));
  if (run.count == 0) return NULL;
  TRY(input(api, context, 0, (const void **)&run.in));
  TRY(input(api, context, 1, (const void **)&run.weights.codes));
  TRY(input(api, context, 2, (const void **)&run.weights.scales));
  TRY(INPUT_COUNT(api)(context, &inputs));
  if (inputs > 3) TRY(input(api, context, 3, (const void **)&run.weights.bias));

  run.chunks = aligned_alloc(64, (size_t)(run.count * chunks_in(&run.weights)) * sizeof(Chunk));
  if (!run.chunks) return failed(api, "MatMulBlocks: no memory for the activations");
  run.piece_rows = rows_of_a_piece(&run.weights, run.count, kernel->threads);
  OrtStatus *failure = spread_over(api, context, round_some, (run.count + rounded_rows - 1) / rounded_rows, &run);
  if (!failure) failure = spread_over(api, context, multiply_some, (run.weights.rows + run.piece_rows - 1) / run.piece_rows, &run);
  free(run.chunks);
  return failure;
}

static OrtStatus *create(const void *op, const OrtApi *api, const OrtKernelInfo *info, void **made) {
  (void)op;
  int64_t bits, block, columns, rows, threads;
  TRY(ATTRIBUTE(api)(info, "K", &columns));
  TRY(ATTRIBUTE(api)(info, "N", &rows));
  TRY(ATTRIBUTE(api)(info, "bits", &bits));
  TRY(ATTRIBUTE(api)(info, "block_size", &block));
  TRY(ATTRIBUTE(api)(info, "threads", &threads));
  const int known = (bits == 4 || bits == 8) && block >= 16 && (block & (block - 1)) == 0;
  if (!known) return failed(api, "MatMulBlocks: blocks of this kind are not known");
  Kernel *kernel = malloc(sizeof *kernel);
  if (!kernel) return failed(api, "MatMulBlocks: no memory");
  const int64_t blocks = (columns + block - 1) / block;
  *kernel = (Kernel){api, {.rows = rows, .columns = columns, .blocks = blocks, .bits = (int)bits, .block = (int)block}, threads};
  *made = kernel;
  return NULL;
}

static const char *name(const void *op) { (void)op; return "MatMulBlocks"; }
static int input_type(const void *op, size_t index) { (void)op; return index == 1 ? uint8_type : float_type; }
static size_t input_count(const void *op) { (void)op; return 4; }
static int input_kind(const void *op, size_t index) { (void)op; return index == 3 ? optional : required; }
static int output_type(const void *op, size_t index) { (void)op, (void)index; return float_type; }
static size_t output_count(const void *op) { (void)op; return 1; }

const Operator product_operator = {
    17, NULL, name, no_provider, input_type, input_count, output_type, output_count, NULL, free, input_kind, always_required,
    ordinary_memory, {one, one, one, one}, create, compute, NULL, one, any_later,
};
