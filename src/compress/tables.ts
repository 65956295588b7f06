import type { LlamaShape } from '../models/source/config.ts'

/** Zeros and minus infinities that keep a token from looking ahead, once for each query head of a key-value head. */
export function causal(shared: number, tokens: number, mask: Float32Array): Float32Array {
  mask.fill(0)
  for (let row = 0; row < shared * tokens; row++)
    mask.fill(Number.NEGATIVE_INFINITY, row * tokens + (row % tokens) + 1, (row + 1) * tokens)
  return mask
}

/** Cosines and sines per position for half a head, [positions, head size / 2]. */
export function rotaryTables({ rotary: { inverseFrequencies, attentionFactor }, contextTokens }: LlamaShape) {
  const half = inverseFrequencies.length
  const table = (wave: (angle: number) => number): Float32Array =>
    Float32Array.from({ length: contextTokens * half }, (_, i) => {
      return wave(Math.floor(i / half) * inverseFrequencies[i % half]) * attentionFactor
    })
  return { cos: table(Math.cos), sin: table(Math.sin) }
}
