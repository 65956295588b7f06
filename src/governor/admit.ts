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

/**
 * Prompt tokens to run at once: enough to use the weights well, few enough for cancels, for those who decode, and for a
 * budget that has just fallen, while it is not known yet whether the board takes the lower cap. A run cannot be stopped.
 */
export function chunkOf({ load }: Inputs, prefillSeconds: number, unsure: boolean): number {
  if (unsure) return tuning.chunkLeastTokens
  const tokens = Math.floor((tuning.chunkSeconds * load.prefill.tokens) / prefillSeconds / 16) * 16
  return Math.min(tuning.chunkMostTokens, Math.max(tuning.chunkLeastTokens, tokens))
}
