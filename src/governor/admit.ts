import { type Pace, stepSeconds } from './pace.ts'
import { tuning } from './tuning.ts'
import type { Inputs } from './types.ts'

/**
 * Answers to make at the same time: all the engine can, since they share the weights of each step; fewer when their
 * caches would make the next token of each later than the target, as long as one alone would be in time.
 */
export function admitted({ limits, load, model }: Inputs, pace: Pace, gpuHz: number): number {
  const { maxSequences, tokenSeconds } = limits
  if (tokenSeconds === 0) return maxSequences
  const decoding = Math.max(1, load.active - load.prefilling)
  const { work } = load.decode
  const seconds = (sequences: number): number => {
    const bytes = Math.max(0, work.bytes + (sequences - decoding) * load.sequenceBytes)
    return stepSeconds(model, pace, gpuHz, { ...work, bytes, flops: (work.flops / decoding) * sequences })
  }
  const latest = Math.max(tokenSeconds, 1.25 * seconds(1))
  let sequences = maxSequences
  while (sequences > 1 && seconds(sequences) > latest) sequences -= 1
  return sequences
}

/** Prompt tokens to run at once: long enough to use the weights well, short enough for cancels and for those who decode. */
export function chunkOf({ load }: Inputs, prefillSeconds: number, duty: number): number {
  const shared = load.active > load.prefilling || duty < 1
  const seconds = shared ? tuning.chunkSharedSeconds : tuning.chunkAloneSeconds
  const tokens = Math.floor((seconds * load.prefill.tokens) / prefillSeconds / 16) * 16
  return Math.min(tuning.chunkMostTokens, Math.max(tuning.chunkLeastTokens, tokens))
}
