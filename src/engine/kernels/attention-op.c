// `deapd.CachedAttention`: GroupQueryAttention over int8 keys and values with one scale a channel, as a custom operator.
#include <stdlib.h>
#include "attention.h"
#include "ort.h"

/** Fewer products than these are not worth handing to another thread. */
static const int64_t smallest_piece = 1 << 16;

/** Places of the inputs. */
enum { queries, keys, values, past_keys, past_values, last_positions, cosines, sines, key_scales, value_scales, inputs };

typedef struct {
  const OrtApi *api;
  int64_t heads, kv_heads;
  float scale;
} Kernel;

static void attend_to_one(void *user, size_t index) {
  const Attention *run = user;
  attend(run, (int64_t)index / run->kv_heads, (int64_t)index % run->kv_heads);
}

static void attend_to_all(void *user, size_t index) {
  const Attention *run = user;
  (void)index;
  for (int64_t i = 0; i < run->batch * run->kv_heads; i++) attend_to_one(user, (size_t)i);
}

static OrtStatus *compute(void *state, OrtKernelContext *context) {
  const Kernel *kernel = state;
  const OrtApi *api = kernel->api;
  int64_t width[most_dimensions], kept[most_dimensions];
  size_t width_ranks, kept_ranks;
  TRY(dimensions_of(api, context, queries, width, &width_ranks));
  TRY(dimensions_of(api, context, past_keys, kept, &kept_ranks));
  if (width_ranks != 3 || kept_ranks != 4) return failed(api, "CachedAttention: queries or keys of so many dimensions");
  Attention run = {
      .batch = width[0], .tokens = width[1], .heads = kernel->heads, .kv_heads = kernel->kv_heads, .slots = kept[2], .size = (int)kept[3],
      .scale = kernel->scale};
  const int fits = kept[0] == run.batch && kept[1] == run.kv_heads && width[2] == run.heads * run.size;
  if (!fits || run.size % 16 != 0 || run.size > largest_head) return failed(api, "CachedAttention: keys of another shape than the queries");
  int8_t *past[2];
  TRY(output(api, context, 0, width, 3, (void **)&run.out));
  TRY(output(api, context, 1, kept, 4, (void **)&run.kept_keys));
  TRY(output(api, context, 2, kept, 4, (void **)&run.kept_values));
  TRY(input(api, context, past_keys, (const void **)&past[0]));
  TRY(input(api, context, past_values, (const void **)&past[1]));
  if (past[0] != run.kept_keys || past[1] != run.kept_values) return failed(api, "CachedAttention: past and present are two memories");
  TRY(input(api, context, queries, (const void **)&run.queries));
  TRY(input(api, context, keys, (const void **)&run.keys));
  TRY(input(api, context, values, (const void **)&run.values));
  TRY(input(api, context, last_positions, (const void **)&run.last));
  TRY(input(api, context, cosines, (const void **)&run.cos));
  TRY(input(api, context, sines, (const void **)&run.sin));
  TRY(input(api, context, key_scales, (const void **)&run.key_scales));
  TRY(input(api, context, value_scales, (const void **)&run.value_scales));

  int64_t positions = 0;
  for (int64_t i = 0; i < run.batch; i++) {
    if (run.last[i] + 1 < run.tokens || run.last[i] >= run.slots) return failed(api, "CachedAttention: positions that there is no room for");
    positions += run.last[i] + 1;
  }
  const int small = positions * run.tokens * run.heads * run.size < smallest_piece;
  return spread_over(api, context, small ? attend_to_all : attend_to_one, small ? 1 : run.batch * run.kv_heads, &run);
}

static OrtStatus *create(const void *op, const OrtApi *api, const OrtKernelInfo *info, void **made) {
  (void)op;
  Kernel of = {.api = api};
  TRY(ATTRIBUTE(api)(info, "num_heads", &of.heads));
  TRY(ATTRIBUTE(api)(info, "kv_num_heads", &of.kv_heads));
  TRY(FRACTION(api)(info, "scale", &of.scale));
  Kernel *kernel = malloc(sizeof *kernel);
  if (!kernel) return failed(api, "CachedAttention: no memory");
  *kernel = of;
  *made = kernel;
  return NULL;
}

static int kind_of_input(size_t index) {
  switch (index) {
    case past_keys: case past_values: return int8_type;
    case last_positions: return int32_type;
    default: return float_type;
  }
}
static const char *name(const void *op) { (void)op; return "CachedAttention"; }
static int input_type(const void *op, size_t index) { (void)op; return kind_of_input(index); }
static size_t input_count(const void *op) { (void)op; return inputs; }
static int output_type(const void *op, size_t index) { (void)op; return index == 0 ? float_type : int8_type; }
static size_t output_count(const void *op) { (void)op; return 3; }

const Operator attention_operator = {
    17, NULL, name, no_provider, input_type, input_count, output_type, output_count, NULL, free, always_required, always_required,
    ordinary_memory, {one, one, one, one}, create, compute, NULL, one, any_later,
};
