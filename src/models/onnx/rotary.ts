import type { LlamaShape } from '../source/config.ts'
import type { WeightPlan } from './weights.ts'

export const rotaryTables = { cos: 'rope.cos', sin: 'rope.sin' } as const

/** Cosines and sines per position for half a head; padded channels keep angle zero. */
export function addRotary(
  weights: WeightPlan,
  { rotary: { inverseFrequencies, attentionFactor } }: LlamaShape,
  contextTokens: number,
  padded: number,
): void {
  const half = padded / 2
  const cos = new Float32Array(contextTokens * half).fill(1)
  const sin = new Float32Array(contextTokens * half)
  for (let position = 0; position < contextTokens; position++) {
    for (const [i, frequency] of inverseFrequencies.entries()) {
      cos[position * half + i] = Math.cos(position * frequency) * attentionFactor
      sin[position * half + i] = Math.sin(position * frequency) * attentionFactor
    }
  }
  weights.add(rotaryTables.cos, [contextTokens, half], cos)
  weights.add(rotaryTables.sin, [contextTokens, half], sin)
}
