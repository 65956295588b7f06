import type { Sampling } from './protocol.ts'

export interface Penalties {
  /** The logits with everything added and taken away; the given array itself when there is nothing to change. */
  apply(logits: Float32Array): Float32Array
  /** Counts a token of the answer. */
  add(tokenId: number): void
}

/**
 * OpenAI's presence and frequency penalties subtract for tokens of the answer; Ollama's repeat penalty divides for tokens
 * among the last ones of prompt and answer; a logit bias adds.
 */
export function createPenalties(options: Sampling, prompt: readonly number[]): Penalties {
  const { presencePenalty, frequencyPenalty, repeatPenalty, repeatLastN, logitBias } = options
  const counts = new Map<number, number>()
  const subtracts = presencePenalty !== 0 || frequencyPenalty !== 0
  const divides = repeatPenalty !== 1 && repeatLastN !== 0
  const recent = divides ? prompt.slice(repeatLastN < 0 ? 0 : -repeatLastN) : []
  let scratch = new Float32Array(0)
  return {
    apply(logits) {
      if (logitBias.length === 0 && counts.size === 0 && recent.length === 0) return logits
      if (scratch.length !== logits.length) scratch = new Float32Array(logits.length)
      scratch.set(logits)
      for (const id of new Set(recent)) scratch[id] *= scratch[id] > 0 ? 1 / repeatPenalty : repeatPenalty
      for (const [id, count] of counts) scratch[id] -= presencePenalty + frequencyPenalty * count
      for (const [id, bias] of logitBias) if (id < scratch.length) scratch[id] += bias
      return scratch
    },
    add(tokenId) {
      if (subtracts) counts.set(tokenId, (counts.get(tokenId) ?? 0) + 1)
      if (!divides) return
      recent.push(tokenId)
      if (repeatLastN > 0 && recent.length > repeatLastN) recent.shift()
    },
  }
}
