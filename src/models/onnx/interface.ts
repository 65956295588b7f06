import type { Activations } from './activations.ts'
import { gateName } from './builder.ts'

/** How keys and values are kept: as the activations are, or rounded to 8 bits with one scale a channel. */
export type KvType = Activations | 'int8'

export type CachePart = 'key' | 'value'
export const cacheParts: readonly CachePart[] = ['key', 'value']

/** Names of the graph's inputs and outputs; the session binds by them. */
export const names = {
  ids: 'input_ids',
  pastLength: 'seqlens_k',
  totalLength: 'total_sequence_length',
  logitsFrom: 'logits_from',
  logits: 'logits',
  gate: gateName,
  past: (layer: number, part: CachePart): string => `past.${layer}.${part}`,
  present: (layer: number, part: CachePart): string => `present.${layer}.${part}`,
  /** float32 [KV heads · head size], only with int8 keys and values. */
  scale: (layer: number, part: CachePart): string => `scale.${layer}.${part}`,
} as const
