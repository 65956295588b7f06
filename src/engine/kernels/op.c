// `deapd.MatMulBlocks`: MatMulNBits of float32 activations, as a custom operator of ONNX Runtime (onnxruntime_c_api.h, version 17).
#include <pthread.h>
#include <stdlib.h>
#include "product.h"

typedef struct OrtStatus OrtStatus;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtValue OrtValue;
typedef struct OrtShape OrtShape;
typedef struct OrtDomain OrtDomain;
typedef struct OrtOptions OrtOptions;

/** The functions we use, by their place in the table; it only ever grows at its end. */
typedef void *OrtApi;
#define CREATE_STATUS(api) ((OrtStatus * (*)(int, const char *))(api)[0])
#define CREATE_DOMAIN(api) ((OrtStatus * (*)(const char *, OrtDomain **))(api)[26])
#define DOMAIN_ADD(api) ((OrtStatus * (*)(OrtDomain *, const void *))(api)[27])
#define ADD_DOMAIN(api) ((OrtStatus * (*)(OrtOptions *, OrtDomain *))(api)[28])
#define DATA(api) ((OrtStatus * (*)(OrtValue *, void **))(api)[51])
#define DIMENSIONS_COUNT(api) ((OrtStatus * (*)(const OrtShape *, size_t *))(api)[61])
#define DIMENSIONS(api) ((OrtStatus * (*)(const OrtShape *, int64_t *, size_t))(api)[62])
#define SHAPE_OF(api) ((OrtStatus * (*)(const OrtValue *, OrtShape **))(api)[65])
#define ATTRIBUTE(api) ((OrtStatus * (*)(const OrtKernelInfo *, const char *, int64_t *))(api)[86])
#define INPUT_COUNT(api) ((OrtStatus * (*)(const OrtKernelContext *, size_t *))(api)[88])
#define INPUT(api) ((OrtStatus * (*)(const OrtKernelContext *, size_t, const OrtValue **))(api)[90])
#define OUTPUT(api) ((OrtStatus * (*)(OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **))(api)[91])
#define RELEASE_SHAPE(api) ((void (*)(OrtShape *))(api)[99])
#define PARALLEL_FOR(api) ((OrtStatus * (*)(const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t, void *))(api)[274])

#define TRY(call) do { OrtStatus *failure = (call); if (failure) return failure; } while (0)

enum { runtime_exception = 6, float_type = 1, uint8_type = 2, required = 0, optional = 1, most_dimensions = 8 };

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

typedef void Work(void *run, size_t index);

static OrtStatus *spread_over(const Kernel *kernel, const OrtKernelContext *context, Run *run, Work *work, int64_t pieces) {
  if (pieces > 1) return PARALLEL_FOR(kernel->api)(context, work, (size_t)pieces, 0, run);
  work(run, 0);
  return NULL;
}

static OrtStatus *failed(const OrtApi *api, const char *what) { return CREATE_STATUS(api)(runtime_exception, what); }

/** The data of an input, null where it is not given. */
static OrtStatus *input(const OrtApi *api, const OrtKernelContext *context, size_t index, const void **data) {
  const OrtValue *value = NULL;
  *data = NULL;
  TRY(INPUT(api)(context, index, &value));
  return value ? DATA(api)((OrtValue *)value, (void **)data) : NULL;
}

/** Dimensions of the activations; those of the result differ in the last one only. */
static OrtStatus *dimensions_of(const OrtApi *api, const OrtKernelContext *context, int64_t *dimensions, size_t *count) {
  const OrtValue *value;
  OrtShape *shape;
  TRY(INPUT(api)(context, 0, &value));
  TRY(SHAPE_OF(api)(value, &shape));
  OrtStatus *failure = DIMENSIONS_COUNT(api)(shape, count);
  if (!failure && (*count == 0 || *count > most_dimensions)) failure = failed(api, "MatMulBlocks: activations of so many dimensions");
  if (!failure) failure = DIMENSIONS(api)(shape, dimensions, *count);
  RELEASE_SHAPE(api)(shape);
  return failure;
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
  TRY(dimensions_of(api, context, dimensions, &ranks));
  if (dimensions[ranks - 1] != run.weights.columns) return failed(api, "MatMulBlocks: activations of another width than the weights");
  for (size_t i = 0; i + 1 < ranks; i++) run.count *= dimensions[i];
  dimensions[ranks - 1] = run.weights.rows;
  OrtValue *out;
  TRY(OUTPUT(api)(context, 0, dimensions, ranks, &out));
  if (run.count == 0) return NULL;
  TRY(DATA(api)(out, (void **)&run.out));
  TRY(input(api, context, 0, (const void **)&run.in));
  TRY(input(api, context, 1, (const void **)&run.weights.codes));
  TRY(input(api, context, 2, (const void **)&run.weights.scales));
  TRY(INPUT_COUNT(api)(context, &inputs));
  if (inputs > 3) TRY(input(api, context, 3, (const void **)&run.weights.bias));

  run.chunks = aligned_alloc(64, (size_t)(run.count * chunks_in(&run.weights)) * sizeof(Chunk));
  if (!run.chunks) return failed(api, "MatMulBlocks: no memory for the activations");
  run.piece_rows = rows_of_a_piece(&run.weights, run.count, kernel->threads);
  OrtStatus *failure = spread_over(kernel, context, &run, round_some, (run.count + rounded_rows - 1) / rounded_rows);
  if (!failure) failure = spread_over(kernel, context, &run, multiply_some, (run.weights.rows + run.piece_rows - 1) / run.piece_rows);
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
static const char *provider(const void *op) { (void)op; return NULL; }
static int input_type(const void *op, size_t index) { (void)op; return index == 1 ? uint8_type : float_type; }
static size_t input_count(const void *op) { (void)op; return 4; }
static int output_type(const void *op, size_t index) { (void)op, (void)index; return float_type; }
static size_t output_count(const void *op) { (void)op; return 1; }
static int input_kind(const void *op, size_t index) { (void)op; return index == 3 ? optional : required; }
static int output_kind(const void *op, size_t index) { (void)op, (void)index; return required; }
static int ordinary_memory(const void *op, size_t index) { (void)op, (void)index; return 0; }
static int one(const void *op) { (void)op; return 1; }
static int any_later(const void *op) { (void)op; return 0x7fffffff; }

/** OrtCustomOp of version 17. */
static const struct {
  uint32_t version;
  void *create_v1;
  const char *(*name)(const void *);
  const char *(*provider)(const void *);
  int (*input_type)(const void *, size_t);
  size_t (*input_count)(const void *);
  int (*output_type)(const void *, size_t);
  size_t (*output_count)(const void *);
  void *compute_v1;
  void (*destroy)(void *);
  int (*input_kind)(const void *, size_t);
  int (*output_kind)(const void *, size_t);
  int (*input_memory)(const void *, size_t);
  int (*variadic[4])(const void *);
  OrtStatus *(*create)(const void *, const OrtApi *, const OrtKernelInfo *, void **);
  OrtStatus *(*compute)(void *, OrtKernelContext *);
  void *infer_shapes;
  int (*first_version)(const void *);
  int (*last_version)(const void *);
} op = {
    17, NULL, name, provider, input_type, input_count, output_type, output_count, NULL, free, input_kind, output_kind, ordinary_memory,
    {one, one, one, one}, create, compute, NULL, one, any_later,
};

typedef struct {
  const OrtApi *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} OrtBase;

/** What ONNX Runtime looks for in a library of operators. A domain lives as long as any session that knows it: for good. */
OrtStatus *RegisterCustomOps(OrtOptions *options, const OrtBase *base) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static OrtDomain *domain;
  const OrtApi *api = base->get_api(17);
  OrtStatus *failure = NULL;
  pthread_mutex_lock(&lock);
  if (!domain) {
    failure = CREATE_DOMAIN(api)("deapd", &domain);
    if (!failure) failure = DOMAIN_ADD(api)(domain, &op);
  }
  pthread_mutex_unlock(&lock);
  return failure ? failure : ADD_DOMAIN(api)(options, domain);
}
