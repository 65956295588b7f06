import type { LlamaShape } from '../models/source/config.ts'
import type { Groups } from './groups.ts'
import { emptySums, type LayerMeans, type LayerSums, type Network } from './network.ts'
import type { Sample } from './text.ts'

/** What passes over the samples work with. */
export interface Bench {
  readonly shape: LlamaShape
  readonly groups: Groups
  readonly network: Network
  readonly samples: readonly Sample[]
  /** Most bytes that hidden states and intermediate results of a run may take. */
  readonly budgetBytes: number
  /** Room for the hidden states of one batch: the same each time, so that passes leave no garbage outside the heap. */
  readonly room: (floats: number) => Float32Array
}

/** Memory that grows to the most that was ever asked for: what it was before is garbage, so `usual` is taken at once. */
export function growing(usual = 0): Bench['room'] {
  let held = new Float32Array(usual)
  return (floats) => {
    if (held.length < floats) held = new Float32Array(floats)
    return held.subarray(0, floats)
  }
}

/** Parts of one piece of memory, of these lengths. */
export function carve(room: Bench['room'], lengths: readonly number[]): Float32Array[] {
  const all = room(lengths.reduce((a, b) => a + b, 0))
  let end = 0
  return lengths.map((length) => {
    end += length
    return all.subarray(end - length, end)
  })
}

/** What variants of the network made of the ranges of samples, variant by variant. */
export interface Scores {
  /** Σ KL over the tokens of each range in nats, [variants][ranges]. */
  readonly kl: readonly Float64Array[]
  /** Whether the likeliest tokens were the text's, from the first token of the range on, [variants][ranges]. */
  readonly right: readonly Uint8Array[]
}

/** What they made of all of the ranges together, variant by variant. */
export interface Totals {
  readonly kl: Float64Array
  readonly right: Float64Array
}

/** A stretch of a sample, by number. */
export interface Place {
  readonly sample: number
  readonly range: number
}

export const placesOf = (samples: readonly Sample[]): Place[] =>
  samples.flatMap(({ ranges }, sample) => ranges.map((_, range) => ({ sample, range })))

export const tokensOf = (samples: readonly Sample[], { sample, range }: Place): number => {
  const { from, to } = samples[sample].ranges[range]
  return to - from
}

export function emptyLayerSums({ kvHeads, heads, headSize, layers }: LlamaShape, groups: Groups): LayerSums[] {
  return Array.from({ length: layers }, () => ({
    tokens: 0,
    heads: emptySums(kvHeads, (heads / kvHeads) * headSize),
    mlp: emptySums(groups.chunks, groups.chunkChannels),
  }))
}

export function noMeans({ heads, headSize, layers }: LlamaShape, groups: Groups): LayerMeans[] {
  return Array.from({ length: layers }, () => ({
    heads: new Float32Array(heads * headSize),
    mlp: new Float32Array(groups.chunks * groups.chunkChannels),
  }))
}

/** Bytes of intermediate results that one token of one variant takes in a layer. */
export const bytesPerRow = ({ hiddenSize, heads, headSize, vocabSize }: LlamaShape, groups: Groups): number =>
  4 * Math.max(6 * groups.chunks * groups.chunkChannels + 4 * (hiddenSize + heads * headSize), 4 * vocabSize)

/** Neighbours, as many at a time as fit, but one at least. */
export function* batches(sizes: readonly number[], most: number): Generator<number[]> {
  let batch: number[] = []
  let bytes = 0
  for (const [i, size] of sizes.entries()) {
    if (batch.length > 0 && bytes + size > most) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(i)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
