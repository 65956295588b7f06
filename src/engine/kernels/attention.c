// A tile is a few rows of queries that read the same keys and values; loops know the usual sizes of a head as constants.
#include "attention.h"
#include "shorts.h"
#include "softmax.h"

#define INLINE static inline __attribute__((always_inline))

enum {
  /** Rows of a tile: a block of keys and values is widened once for all of them. */
  most_rows = 32,
  /** Positions whose products are summed side by side. */
  eight = 8,
  /** How far ahead keys and values are fetched: the processor's own prefetching ends at each page. */
  ahead_bytes = 4096,
  most_strips = largest_head / strip,
};

/** What the largest channel of a query becomes. */
static const float most_query = 32767;

/** A row of queries, and what it has read so far. */
typedef struct {
  Strip query[most_strips];
  float sums[largest_head] __attribute__((aligned(64)));
  float step;        // of a product with a key, as an exponent of two
  float most, total; // the largest exponent, and the sum of all weights against it
  int64_t count;     // of the positions it reads
  float *out;
} Row;

/** A block of keys and one of values as 16-bit numbers. */
typedef struct {
  Strip keys[block * most_strips];
  Pairs values[block / 2 * most_strips];
} Wide;

INLINE int strips_in(int size) { return (size + strip - 1) / strip; }
INLINE int channels_in(int s, int size) { return size - s * strip < strip ? 16 : strip; }

/** Turns both halves of a head by the angles of its position. */
INLINE void rotate(const Attention *a, const float *head, int64_t position, int size, float *turned) {
  const int half = size / 2;
  const float *cos = a->cos + position * half, *sin = a->sin + position * half;
  for (int i = 0; i < half; i++) {
    const float x = head[i], y = head[half + i];
    turned[i] = fmaf(x, cos[i], -(y * sin[i]));
    turned[half + i] = fmaf(y, cos[i], x * sin[i]);
  }
}

INLINE void round_to_bytes(const float *values, const float *scales, int count, int8_t *bytes) {
  for (int i = 0; i < count; i++) {
    const float steps = scales[i] > 0 ? values[i] / scales[i] : 0;
    bytes[i] = (int8_t)rintf(steps > 127 ? 127 : steps < -127 ? -127 : steps);
  }
}

/** Writes the new keys and values of a head where they stay. */
INLINE void keep(const Attention *a, int64_t sequence, int64_t kv_head, int size) {
  const int64_t start = a->last[sequence] + 1 - a->tokens;
  for (int64_t t = 0; t < a->tokens; t++) {
    const int64_t from = ((sequence * a->tokens + t) * a->kv_heads + kv_head) * size;
    const int64_t to = ((sequence * a->kv_heads + kv_head) * a->slots + start + t) * size;
    float turned[largest_head];
    rotate(a, a->keys + from, start + t, size, turned);
    round_to_bytes(turned, a->key_scales + kv_head * size, size, a->kept_keys + to);
    round_to_bytes(a->values + from, a->value_scales + kv_head * size, size, a->kept_values + to);
  }
}

/** The row of one token and one of the query heads that read this head; its query takes up the scales of the keys. */
INLINE void begin(const Attention *a, int64_t sequence, int64_t kv_head, int64_t index, int size, Row *row) {
  const int64_t group = a->heads / a->kv_heads, token = index / group, position = a->last[sequence] + 1 - a->tokens + token;
  const int64_t place = ((sequence * a->tokens + token) * a->heads + kv_head * group + index % group) * size;
  float turned[largest_head] = {0}, most = 0;
  row->out = a->out + place;
  row->total = 0;
  row->count = isinf(a->queries[place]) ? 0 : position + 1;
  memset(row->sums, 0, (size_t)size * sizeof *row->sums);
  if (row->count == 0) return;
  rotate(a, a->queries + place, position, size, turned);
  for (int c = 0; c < size; c++) turned[c] *= a->key_scales[kv_head * size + c];
#pragma omp simd reduction(max : most)
  for (int c = 0; c < size; c++) most = fabsf(turned[c]) > most ? fabsf(turned[c]) : most;
  const float inverse = most > 0 ? most_query / most : 0;
  for (int s = 0; s < strips_in(size); s++) {
    int16_t halves[2][strip / 2];
    for (int i = 0; i < strip; i++) halves[i % 2][i / 2] = (int16_t)rintf(turned[s * strip + i] * inverse);
    memcpy(&row->query[s], halves, sizeof halves);
  }
  row->step = most / most_query * a->scale * 1.44269504f;
  row->most = -INFINITY;
}

INLINE void fetch_ahead(const int8_t *from, int bytes) {
  for (int i = 0; i < bytes; i += 64) __builtin_prefetch(from + i + ahead_bytes);
}

/** Where a block has no whole eight or no second position the last one stands in: nobody counts it. */
INLINE void widen_block(const int8_t *keys, const int8_t *values, int count, int size, Wide *wide) {
  const int strips = strips_in(size);
  fetch_ahead(keys, count * size);
  fetch_ahead(values, count * size);
  for (int p = 0; p < (count + eight - 1) / eight * eight; p++) {
    const int8_t *key = keys + (p < count ? p : count - 1) * size;
    for (int s = 0; s < strips; s++) wide->keys[p * strips + s] = widen(key + s * strip, channels_in(s, size));
  }
  for (int p = 0; p < count; p += 2) {
    const int8_t *first = values + p * size, *second = p + 1 < count ? first + size : first;
    for (int s = 0; s < strips; s++) {
      wide->values[p / 2 * strips + s] = side_by_side(first + s * strip, second + s * strip, channels_in(s, size));
    }
  }
}

/** The products of a query with `count` keys, rounded up to eights. */
INLINE void multiply_keys(const Row *row, const int8_t *keys, const Wide *wide, int count, int size, float scores[block]) {
  const int strips = strips_in(size);
  for (int from = 0; from < count; from += eight) {
    Sums sums[eight];
    int32_t totals[eight] __attribute__((aligned(32)));
    for (int p = 0; p < eight; p++) sums[p] = no_sums();
    if (!wide) fetch_ahead(keys + from * size, eight * size);
    for (int s = 0; s < strips; s++) {
      for (int p = 0; p < eight; p++) {
        const int at = from + p;
        const Strip key = wide ? wide->keys[at * strips + s] : widen(keys + at * size + s * strip, channels_in(s, size));
        sums[p] = add_dot(sums[p], &row->query[s], &key);
      }
    }
    store_sums(totals, total_each(sums));
    for (int p = 0; p < eight; p++) scores[from + p] = (float)totals[p] * row->step;
  }
}

/** Sums of `count` values times their weights, of `total` in all, two strips at a time. */
INLINE void weigh_values(
    const int16_t weights[block], int32_t total, const int8_t *values, const Wide *wide, int count, int size, int32_t *out) {
  const int strips = strips_in(size);
  for (int s = 0; s < strips; s += 2) {
    const int some = s + 1 < strips ? 2 : 1;
    Sums sums[2][4];
    for (int i = 0; i < 8; i++) sums[i / 4][i % 4] = no_sums();
    for (int p = 0; p < count; p += 2) {
      const int8_t *first = values + p * size + s * strip;
      if (!wide) __builtin_prefetch(first + ahead_bytes), __builtin_prefetch(first + size + ahead_bytes);
      for (int i = 0; i < some; i++) {
        const int8_t *at = first + i * strip;
        const Pairs pairs = wide ? wide->values[p / 2 * strips + s + i] : side_by_side(at, at + size, channels_in(s + i, size));
        add_weighted(sums[i], &pairs, weights + p);
      }
    }
    for (int i = 0; i < some; i++) store_weighted(out + (s + i) * strip, sums[i], total);
  }
}

/** Adds a block, of which `count` positions are this row's, to what the row has read: from `wide`, or else as it lies in memory. */
INLINE void read_block(Row *row, const int8_t *keys, const int8_t *values, const Wide *wide, int count, int size) {
  int32_t sums[largest_head] __attribute__((aligned(64)));
  int16_t weights[block];
  float scores[block], most;
  multiply_keys(row, keys, wide, count, size, scores);
  const int32_t total = weights_of(scores, count, &most, weights);
  weigh_values(weights, total, values, wide, count, size, sums);
  if (most > row->most) {
    const float less = power_of_two(bounded(row->most - most));
    for (int c = 0; c < size; c++) row->sums[c] *= less;
    row->total *= less;
    row->most = most;
  }
  const float factor = power_of_two(bounded(most - row->most));
  row->total = fmaf((float)total, factor, row->total);
  for (int c = 0; c < size; c++) row->sums[c] = fmaf((float)sums[c], factor, row->sums[c]);
}

/** Rows [first, first + count) of those that read this head. */
INLINE void read_tile(const Attention *a, int64_t sequence, int64_t kv_head, int64_t first, int count, int size) {
  const int8_t *keys = a->kept_keys + (sequence * a->kv_heads + kv_head) * a->slots * size;
  const int8_t *values = a->kept_values + (sequence * a->kv_heads + kv_head) * a->slots * size;
  Row rows[most_rows];
  Wide wide;
  int64_t longest = 0;
  for (int r = 0; r < count; r++) {
    begin(a, sequence, kv_head, first + r, size, &rows[r]);
    longest = rows[r].count > longest ? rows[r].count : longest;
  }
  for (int64_t from = 0; from < longest; from += block, keys += block * size, values += block * size) {
    const int there = longest - from < block ? (int)(longest - from) : block;
    if (count == 1 && there == block) {
      read_block(rows, keys, values, 0, block, size);
      continue;
    }
    widen_block(keys, values, there, size, &wide);
    for (int r = 0; r < count; r++) {
      const int64_t own = rows[r].count - from;
      if (own > 0) read_block(&rows[r], keys, values, &wide, own < there ? (int)own : there, size);
    }
  }
  for (int r = 0; r < count; r++) {
    const float share = rows[r].total > 0 ? 1 / rows[r].total : 0;
    for (int c = 0; c < size; c++) rows[r].out[c] = rows[r].sums[c] * share * a->value_scales[kv_head * size + c];
  }
}

INLINE void attend_with(const Attention *a, int64_t sequence, int64_t kv_head, int size) {
  const int64_t rows = a->tokens * (a->heads / a->kv_heads);
  keep(a, sequence, kv_head, size);
  for (int64_t first = 0; first < rows; first += most_rows) {
    read_tile(a, sequence, kv_head, first, rows - first < most_rows ? (int)(rows - first) : most_rows, size);
  }
}

void attend(const Attention *a, int64_t sequence, int64_t kv_head) {
  switch (a->size) {
    case 64: attend_with(a, sequence, kv_head, 64); break;
    case 128: attend_with(a, sequence, kv_head, 128); break;
    default: attend_with(a, sequence, kv_head, a->size);
  }
}
