import { orderByNorm } from '../models/levels.ts'
import { squares } from '../models/onnx/matrix.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import { openTensors } from '../models/source/tensors.ts'
import { type Groups, groupNumber } from './groups.ts'
import { seededShuffle } from './random.ts'
import type { Fluctuations } from './statistics.ts'

/** Orders that can be compared on any checkpoint. */
export const orders = ['deap', 'flap', 'magnitude', 'random'] as const
/** An order, or the levels that a checkpoint was trained with. */
export const methods = [...orders, 'trained'] as const
export type Method = (typeof methods)[number]

/** Whether a method puts the means of dropped channels in their place; magnitude and random pruning do not, as published, and trained levels learnt without. */
export const compensates: Readonly<Record<Method, boolean>> = {
  deap: true,
  flap: true,
  magnitude: false,
  random: false,
  trained: false,
}

/** Sums of squares of a layer's weights, by channel and by query head's channel. */
export interface Squares {
  /** Of gate and up rows and down columns, by channel. */
  readonly mlp: Float64Array
  /** Of query rows and output columns. */
  readonly heads: Float64Array
}

/** Reads every layer once. */
export function squaresOf({ layers, tensors }: Checkpoint): Squares[] {
  const source = openTensors(tensors)
  try {
    return layers.map(({ gate, up, down, q, o }) => {
      const [g, u, d, query, out] = [gate, up, down, q, o].map((matrix) => squares(matrix, source.read))
      return {
        mlp: g.rows.map((square, c) => square + u.rows[c] + d.columns[c]),
        heads: query.rows.map((square, c) => square + out.columns[c]),
      }
    })
  } finally {
    source.close()
  }
}

/**
 * The order of each layer's channels before they are cut into chunks, from the most to the least wanted: by weight norm, or by
 * what their fluctuation does to the layer.
 */
export function channelOrders(
  method: Exclude<Method, 'random' | 'trained'>,
  { shape, layers }: Checkpoint,
  weights: readonly Squares[],
  dense: Pick<Fluctuations, 'channels'> | null,
): Int32Array[] {
  const zeros = new Float64Array(shape.ffnSize)
  return layers.map((_, layer) => {
    const own = method === 'magnitude' || dense === null ? weights[layer].mlp : dense.channels[layer].mlp
    return orderByNorm(Float64Array.from(own.subarray(0, shape.ffnSize)), zeros, zeros)
  })
}

/** A rival's order of all groups, the first to go first, from one look at the full network. */
export function rivalOrder(
  method: Exclude<Method, 'deap' | 'trained'>,
  groups: Groups,
  dense: Pick<Fluctuations, 'channels'>,
  weights: readonly Squares[],
  orders: readonly Int32Array[],
  seed: number,
): number[] {
  if (method === 'random') return [...seededShuffle(groups.all.length, seed)]
  const scores = method === 'flap' ? flapScores(groups, dense) : magnitudeScores(groups, weights, orders)
  return [...scores.keys()].sort((a, b) => scores[a] - scores[b] || a - b)
}

/** Mean square of the weights of a group. */
function magnitudeScores(groups: Groups, weights: readonly Squares[], orders: readonly Int32Array[]): Float64Array {
  const { all, chunkChannels, perLayer, chunks } = groups
  return Float64Array.from(all, ({ layer, kind, index, weights: count }) => {
    const own = weights[layer]
    if (kind === 'heads') {
      const size = own.heads.length / (perLayer - chunks)
      return sum(own.heads.subarray(index * size, (index + 1) * size)) / count
    }
    const channels = orders[layer].subarray(index * chunkChannels, (index + 1) * chunkChannels)
    return channels.reduce((total, channel) => total + own.mlp[channel], 0) / count
  })
}

/**
 * As FLAP does (arXiv 2312.11983, lib/prune.py): fluctuation of a channel times the squared length of its column; the mean of a
 * group; standardised over the groups of its layer and kind; those of heads are squared first.
 */
function flapScores(groups: Groups, dense: Pick<Fluctuations, 'channels'>): Float64Array {
  const scores = new Float64Array(groups.all.length)
  for (const [layer, channels] of dense.channels.entries()) {
    for (const kind of ['heads', 'mlp'] as const) {
      const count = kind === 'mlp' ? groups.chunks : groups.perLayer - groups.chunks
      const size = channels[kind].length / count
      const means = Array.from({ length: count }, (_, g) => {
        const mean = sum(channels[kind].subarray(g * size, (g + 1) * size)) / size
        return kind === 'heads' ? mean * mean : mean
      })
      const centre = means.reduce((a, b) => a + b, 0) / count
      const deviation = Math.sqrt(means.reduce((total, mean) => total + (mean - centre) ** 2, 0) / count) || 1
      for (const [g, mean] of means.entries()) scores[groupNumber(groups, layer, kind, g)] = (mean - centre) / deviation
    }
  }
  return scores
}

const sum = (values: Float32Array | Float64Array): number => {
  let total = 0
  for (const value of values) total += value
  return total
}
