// What our operators use of ONNX Runtime's C interface (onnxruntime_c_api.h, version 17).
#pragma once
#include <stddef.h>
#include <stdint.h>

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
#define FRACTION(api) ((OrtStatus * (*)(const OrtKernelInfo *, const char *, float *))(api)[85])
#define ATTRIBUTE(api) ((OrtStatus * (*)(const OrtKernelInfo *, const char *, int64_t *))(api)[86])
#define INPUT_COUNT(api) ((OrtStatus * (*)(const OrtKernelContext *, size_t *))(api)[88])
#define INPUT(api) ((OrtStatus * (*)(const OrtKernelContext *, size_t, const OrtValue **))(api)[90])
#define OUTPUT(api) ((OrtStatus * (*)(OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **))(api)[91])
#define RELEASE_SHAPE(api) ((void (*)(OrtShape *))(api)[99])
#define PARALLEL_FOR(api) ((OrtStatus * (*)(const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t, void *))(api)[274])

#define TRY(call) do { OrtStatus *failure = (call); if (failure) return failure; } while (0)

/** OrtErrorCode; ONNXTensorElementDataType. */
enum { runtime_exception = 6, float_type = 1, uint8_type = 2, int8_type = 3, int32_type = 6 };

/** OrtCustomOpInputOutputCharacteristic. */
enum { required = 0, optional = 1 };

/** OrtCustomOp of version 17. */
typedef struct {
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
} Operator;

/** What is the same for all operators of ours: the CPU runs them, on ordinary memory, in their first version. */
static inline const char *no_provider(const void *op) { (void)op; return NULL; }
static inline int always_required(const void *op, size_t index) { (void)op, (void)index; return required; }
static inline int ordinary_memory(const void *op, size_t index) { (void)op, (void)index; return 0; }
static inline int one(const void *op) { (void)op; return 1; }
static inline int any_later(const void *op) { (void)op; return 0x7fffffff; }

static inline OrtStatus *failed(const OrtApi *api, const char *what) { return CREATE_STATUS(api)(runtime_exception, what); }

/** The data of an input, null where it is not given. */
static inline OrtStatus *input(const OrtApi *api, const OrtKernelContext *context, size_t index, const void **data) {
  const OrtValue *value = NULL;
  *data = NULL;
  TRY(INPUT(api)(context, index, &value));
  return value ? DATA(api)((OrtValue *)value, (void **)data) : NULL;
}

enum { most_dimensions = 8 };

/** Dimensions of an input. */
static inline OrtStatus *dimensions_of(
    const OrtApi *api, const OrtKernelContext *context, size_t index, int64_t dimensions[most_dimensions], size_t *count) {
  const OrtValue *value;
  OrtShape *shape;
  TRY(INPUT(api)(context, index, &value));
  TRY(SHAPE_OF(api)(value, &shape));
  OrtStatus *failure = DIMENSIONS_COUNT(api)(shape, count);
  if (!failure && (*count == 0 || *count > most_dimensions)) failure = failed(api, "deapd: an input of so many dimensions");
  if (!failure) failure = DIMENSIONS(api)(shape, dimensions, *count);
  RELEASE_SHAPE(api)(shape);
  return failure;
}

/** Makes room for an output and returns its data. */
static inline OrtStatus *output(
    const OrtApi *api, OrtKernelContext *context, size_t index, const int64_t *dimensions, size_t count, void **data) {
  OrtValue *value;
  TRY(OUTPUT(api)(context, index, dimensions, count, &value));
  return DATA(api)(value, data);
}

/** Does `pieces` of work on the threads of the session. */
static inline OrtStatus *spread_over(
    const OrtApi *api, const OrtKernelContext *context, void (*work)(void *run, size_t index), int64_t pieces, void *run) {
  if (pieces > 1) return PARALLEL_FOR(api)(context, work, (size_t)pieces, 0, run);
  work(run, 0);
  return NULL;
}
