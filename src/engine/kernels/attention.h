// Attention over keys and values in int8 with one scale a channel: the new ones are written in place, then all are read as they are.
#pragma once
#include <stdint.h>

/** One layer's run of `tokens` positions for each of `batch` sequences. */
typedef struct {
  const float *queries;                   // [batch, tokens, heads, size], not rotated yet
  const float *keys, *values;             // [batch, tokens, kv_heads, size]
  int8_t *kept_keys, *kept_values;        // [batch, kv_heads, slots, size]
  const float *key_scales, *value_scales; // [kv_heads, size]
  const float *cos, *sin;                 // [slots, size / 2]
  const int32_t *last;                    // [batch], the position of the last token
  float *out;                             // [batch, tokens, heads, size]
  int64_t batch, tokens, heads, kv_heads, slots;
  int size;                               // of a head, a multiple of 16
  float scale;                            // of a product of query and key
} Attention;

/** Of a head: sums of so many products stay in 32 bits. */
enum { largest_head = 512 };

/**
 * Keeps the new keys and values of one head of one sequence, and computes what the queries of that head read. Sums of a block of positions
 * are whole numbers, and blocks are added up one after the other: a token has the same bits in any company, on every processor.
 * A query of infinities is one of a head that the level leaves out: it reads nothing, and its result is zeros.
 */
void attend(const Attention *attention, int64_t sequence, int64_t kv_head);
