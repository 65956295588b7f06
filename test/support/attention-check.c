// Holds the attention of src/engine/kernels against sums in double, for every kind of head: `attention-check` prints how many kinds it
// looked at, and a digest of all results, and ends with 1 when one is wrong. As products-check.c does.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention.h"
#include "product.h"

enum { batch = 2, tokens = 37, kv_heads = 2, most_group = 3, slots = 170, room = batch * tokens * kv_heads * most_group * largest_head };

static float queries[room], keys[room], values[room], out[room], alone[room], cosines[slots * largest_head], sines[slots * largest_head];
static float key_scales[kv_heads * largest_head], value_scales[kv_heads * largest_head];
static int8_t kept_keys[batch * kv_heads * slots * largest_head], kept_values[batch * kv_heads * slots * largest_head];
static int8_t keys_before[sizeof kept_keys], values_before[sizeof kept_values], keys_after[sizeof kept_keys];

/** Of all results so far (FNV-1a), to compare processors. */
static uint64_t digest = 14695981039346656037u;

static void take_in(const void *data, size_t size) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < size; i++) digest = (digest ^ bytes[i]) * 1099511628211u;
}

static float between(void) { return (float)(rand() % 2001 - 1000) / 1000; }

/** A channel of a head turned by the angles of its position. */
static double turned(const Attention *a, const float *head, int64_t position, int channel) {
  const int half = a->size / 2, i = channel % half;
  const double cos = a->cos[position * half + i], sin = a->sin[position * half + i];
  return channel < half ? head[i] * cos - head[half + i] * sin : head[half + i] * cos + head[i] * sin;
}

/** Root mean square of the error over that of the result, of one row of queries. */
static double error_of(const Attention *a, int64_t sequence, int64_t token, int64_t head) {
  const int64_t kv_head = head / (a->heads / a->kv_heads), position = a->last[sequence] + 1 - a->tokens + token;
  const int64_t row = ((sequence * a->tokens + token) * a->heads + head) * a->size;
  const int64_t kept = (sequence * a->kv_heads + kv_head) * a->slots * a->size;
  const float *scales = a->key_scales + kv_head * a->size;
  static double scores[slots], read[largest_head], query[largest_head];
  double most = -INFINITY, total = 0, errors = 0, all = 0;
  memset(read, 0, sizeof read);
  for (int c = 0; c < a->size; c++) query[c] = turned(a, a->queries + row, position, c);
  for (int64_t p = 0; p <= position; p++) {
    scores[p] = 0;
    for (int c = 0; c < a->size; c++) scores[p] += query[c] * scales[c] * a->kept_keys[kept + p * a->size + c] * a->scale;
    most = fmax(most, scores[p]);
  }
  for (int64_t p = 0; p <= position; p++) {
    const double weight = exp(scores[p] - most);
    total += weight;
    for (int c = 0; c < a->size; c++) read[c] += weight * a->value_scales[kv_head * a->size + c] * a->kept_values[kept + p * a->size + c];
  }
  for (int c = 0; c < a->size; c++) {
    const double truth = read[c] / total, error = a->out[row + c] - truth;
    errors += error * error;
    all += truth * truth;
  }
  return sqrt(errors / all);
}

static void attend_all(const Attention *a) {
  for (int64_t i = 0; i < a->batch * a->kv_heads; i++) attend(a, i / a->kv_heads, i % a->kv_heads);
}

/** The same tokens in other company: each sequence for itself, token after token. Returns whether a bit differs. */
static int differs_alone(const Attention *all) {
  const int64_t width = all->heads * all->size, kv_width = all->kv_heads * all->size, kept = all->kv_heads * all->slots * all->size;
  memcpy(keys_after, all->kept_keys, sizeof keys_after);
  memcpy(all->kept_keys, keys_before, sizeof keys_before);
  memcpy(all->kept_values, values_before, sizeof values_before);
  for (int64_t i = 0; i < all->batch * all->tokens; i++) {
    const int64_t sequence = i / all->tokens, token = i % all->tokens;
    const int32_t last = (int32_t)(all->last[sequence] + 1 - all->tokens + token);
    Attention one = *all;
    one.batch = one.tokens = 1;
    one.last = &last;
    one.queries += i * width, one.keys += i * kv_width, one.values += i * kv_width;
    one.kept_keys += sequence * kept, one.kept_values += sequence * kept;
    one.out = alone + i * width;
    attend_all(&one);
  }
  const size_t size = (size_t)(all->batch * all->tokens * width) * sizeof *out;
  return memcmp(alone, all->out, size) != 0 || memcmp(all->kept_keys, keys_after, sizeof keys_after) != 0;
}

/** New keys and values are rounded to the nearest step. */
static int badly_kept(const Attention *a) {
  for (int64_t h = 0; h < a->kv_heads; h++) {
    const int64_t to = (h * a->slots + a->last[0]) * a->size, from = ((a->tokens - 1) * a->kv_heads + h) * a->size;
    for (int c = 0; c < a->size; c++) {
      const double key = turned(a, a->keys + from, a->last[0], c) / a->key_scales[h * a->size + c];
      const double value = a->values[from + c] / a->value_scales[h * a->size + c];
      if (fabs(fmax(-127, fmin(127, key)) - a->kept_keys[to + c]) > 0.501) return 1;
      if (fabs(fmax(-127, fmin(127, value)) - a->kept_values[to + c]) > 0.501) return 1;
    }
  }
  return 0;
}

/** Not inlined, so that nothing of it runs where the processor cannot. */
static __attribute__((noinline)) int check(void) {
  int kinds = 0, wrong = 0;
  static const int sizes[] = {16, 48, 64, 80, 128, largest_head};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (int group = 1; group <= most_group; group += 2) {
      // Scores from almost even to one position that outweighs all others.
      for (float sharpness = 0.25f; sharpness <= 64; sharpness *= 16) {
        const int size = sizes[i];
        const int32_t last[batch] = {tokens - 1 + rand() % 40, slots - 1};
        for (int p = 0; p < slots * size / 2; p++) cosines[p] = cosf((float)p), sines[p] = sinf((float)p);
        for (int k = 0; k < room; k++) queries[k] = sharpness * between(), keys[k] = between(), values[k] = between();
        for (int c = 0; c < kv_heads * size; c++) key_scales[c] = 0.005f + fabsf(between()) / 100, value_scales[c] = key_scales[c] / 2;
        for (size_t k = 0; k < sizeof kept_keys; k++) kept_keys[k] = (int8_t)(rand() >> 7), kept_values[k] = (int8_t)(rand() >> 7);
        // The largest sums there are, and a head that a level leaves out.
        // A query of zeros reads all positions alike.
        memset(queries + 2 * kv_heads * group * size, 0, (size_t)size * sizeof *queries);
        memset(kept_keys, 127, 70 * (size_t)size);
        memset(kept_values, -128, 70 * (size_t)size);
        for (int c = 0; c < size; c++) queries[c] = sharpness, queries[kv_heads * group * size + c] = INFINITY;
        memcpy(keys_before, kept_keys, sizeof kept_keys);
        memcpy(values_before, kept_values, sizeof kept_values);
        const Attention a = {
            queries, keys, values, kept_keys, kept_values, key_scales, value_scales, cosines, sines, last, out, batch, tokens,
            kv_heads * group, kv_heads, slots, size, 1 / sqrtf((float)size)};
        attend_all(&a);
        take_in(out, (size_t)(batch * tokens * kv_heads * group * size) * sizeof *out);
        take_in(kept_keys, sizeof kept_keys);
        take_in(kept_values, sizeof kept_values);
        double worst = 0;
        int silent = 1;
        for (int c = 0; c < size; c++) silent &= out[kv_heads * group * size + c] == 0;
        for (int64_t row = 0; row < batch * tokens * kv_heads * group; row++) {
          if (row == kv_heads * group) continue; // the head that is left out
          worst = fmax(worst, error_of(&a, row / (tokens * kv_heads * group), row / (kv_heads * group) % tokens, row % (kv_heads * group)));
        }
        const int bad = badly_kept(&a), differs = differs_alone(&a);
        kinds++;
        if (worst < 0.002 && silent && !bad && !differs) continue;
        wrong++;
        printf("%d channels, %d queries a head, sharpness %g: error %g%s%s%s\n", size, group, (double)sharpness, worst,
            silent ? "" : ", a head left out speaks", bad ? ", badly kept" : "", differs ? ", other bits alone" : "");
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
