import type { Form } from './onnx/weights.ts'
import type { LlamaShape } from './source/config.ts'

/** What each level runs of one layer: nested beginnings of two orders. */
export interface LayerLevels {
  /** MLP channels from the most to the least wanted. */
  readonly channels: Int32Array
  /** How many of them each level runs, rising to all. */
  readonly widths: readonly number[]
  /** Key-value heads, each with the query heads that read it, from the most to the least wanted. */
  readonly groups: Int32Array
  /** Of how many of them each level computes the queries and reads the result, rising to all. */
  readonly counts: readonly number[]
}

/** What the levels run of every layer. */
export interface Cut {
  /** Channels in one chunk: 128, or 32 where a layer has fewer than 1,024 (DESIGN §6). */
  readonly chunkChannels: number
  readonly layers: readonly Pick<LayerLevels, 'widths' | 'counts'>[]
}

/** Share of the weight bytes that the smallest level reads, where what every level reads allows it. */
const smallestShare = 0.42

/** Heads come in at most this many steps: a step of a large model should be large enough to be mapped (ort/session.ts). */
const headSteps = 8

/** Part of the MLP that goes before any head does. */
const leastMlp = 0.25

export const chunkChannelsFor = (ffnSize: number): number => (ffnSize < 1024 ? 32 : 128)

/**
 * Up to `levels` nested sub-networks of whole chunks and heads, spaced evenly by the bytes they read, from `smallestShare` to
 * everything. A layer has at most two gates on its MLP and one on its heads, because each costs the full network time; so levels
 * differ in how many layers have got back their heads, then half and then all of their channels.
 */
export function cutLevels(shape: LlamaShape, form: Form, levels: number): Cut {
  const { ffnSize, kvHeads, layers } = shape
  const chunkChannels = chunkChannelsFor(ffnSize)
  const { mlp, heads, always } = bytesOf(shape, form)
  const least = levels === 1 ? { width: ffnSize, count: kvHeads } : smallest(shape, chunkChannels, mlp, heads, always)
  const middle = Math.ceil((least.width + ffnSize) / 2 / chunkChannels) * chunkChannels
  const order = outsideIn(layers)
  const steps = [
    ...order.map((layer) => ({ layer, width: least.width, count: kvHeads })),
    ...order.map((layer) => ({ layer, width: Math.min(ffnSize, middle), count: kvHeads })),
    ...order.map((layer) => ({ layer, width: ffnSize, count: kvHeads })),
  ]
  const states = [Array.from({ length: layers }, () => least)]
  for (const { layer, ...state } of steps) states.push(states[states.length - 1].with(layer, state))
  const shares = states.map((state) => {
    const part = state.reduce((sum, { width, count }) => sum + (width / ffnSize) * mlp + (count / kvHeads) * heads, 0)
    return (part / layers + always) / (mlp + heads + always)
  })
  const wanted = Array.from({ length: levels }, (_, i) => shares[0] + ((1 - shares[0]) * i) / Math.max(1, levels - 1))
  const chosen = [...new Set(wanted.map((share) => nearest(shares, share)))]
  return {
    chunkChannels,
    layers: order.map((_, layer) => ({
      widths: chosen.map((i) => states[i][layer].width),
      counts: chosen.map((i) => states[i][layer].count),
    })),
  }
}

/** Width and heads of the smallest level, rounded down so that it is at most as large as asked for. */
function smallest({ ffnSize, kvHeads }: LlamaShape, chunk: number, mlp: number, heads: number, always: number) {
  const headStep = Math.ceil(kvHeads / headSteps)
  const kept = smallestShare * (mlp + heads + always) - always
  const part = (fraction: number, of: number): number => Math.min(of, Math.max(1, Math.floor(fraction * of)))
  const count = Math.min(kvHeads, part((kept - leastMlp * mlp) / heads, Math.ceil(kvHeads / headStep)) * headStep)
  const width = part((kept - (count / kvHeads) * heads) / mlp, Math.ceil(ffnSize / chunk)) * chunk
  return { width: Math.min(ffnSize, width), count }
}

/** Layers from both ends to the middle, where pruning hurts least (deap.md §4.2 keeps the first two and the last). */
const outsideIn = (layers: number): readonly number[] =>
  Array.from({ length: layers }, (_, i) => (i % 2 === 0 ? i / 2 : layers - (i + 1) / 2))

/** Place of the value nearest to `wanted`; the last of equal ones, so that the end is the end. */
const nearest = (values: readonly number[], wanted: number): number =>
  values.reduce((best, value, i) => (Math.abs(value - wanted) <= Math.abs(values[best] - wanted) ? i : best), 0)

/** Bytes that gates can leave out, MLP and heads, and those that every level reads. */
function bytesOf(
  { hiddenSize, ffnSize, heads, kvHeads, headSize, layers, vocabSize }: LlamaShape,
  form: Form,
): { readonly mlp: number; readonly heads: number; readonly always: number } {
  const bytes = (bits: number): number => (form.quantisation === 'none' ? 4 : bits / 8 + 4 / form.block)
  const body = layers * hiddenSize * bytes(form.quantisation === 'int4' ? 4 : 8)
  return {
    mlp: body * 3 * ffnSize,
    heads: body * 2 * heads * headSize,
    always: body * 2 * kvHeads * headSize + vocabSize * hiddenSize * bytes(8),
  }
}

/** Places of the largest sums first; of equal ones the earlier. */
const bySum = (sums: Float64Array): Int32Array =>
  Int32Array.from(sums, (_, i) => i).sort((a, b) => sums[b] - sums[a] || a - b)

/**
 * Channel numbers by falling weight norm: those whose rows of gate and up and column of down weigh most come first. Takes
 * the sums of squares per channel.
 */
export const orderByNorm = (gateRows: Float64Array, upRows: Float64Array, downColumns: Float64Array): Int32Array =>
  bySum(gateRows.map((square, c) => square + upRows[c] + downColumns[c]))

/** Key-value heads by falling weight norm of the queries that read them and of their columns in the output projection. */
export function orderGroups(queryRows: Float64Array, outputColumns: Float64Array, kvHeads: number): Int32Array {
  const size = queryRows.length / kvHeads
  const sums = new Float64Array(kvHeads)
  for (let i = 0; i < queryRows.length; i++) sums[Math.floor(i / size)] += queryRows[i] + outputColumns[i]
  return bySum(sums)
}

/** The cut of one layer with its own orders. */
export const layerLevels = ({ layers }: Cut, layer: number, channels: Int32Array, groups: Int32Array): LayerLevels => ({
  channels,
  groups,
  ...layers[layer],
})
