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

/** Widths and counts of every level, the same in all layers. */
export interface Cut {
  /** Channels in one chunk: 128, or 32 where a layer has fewer than 1,024 (DESIGN §6). */
  readonly chunkChannels: number
  readonly widths: readonly number[]
  readonly counts: readonly number[]
}

/** Share of the weight bytes that the smallest level reads, where what every level reads allows it. */
const smallestShare = 0.42

/** Heads come in at most this many steps: a step of a large model should be large enough to be mapped (ort/session.ts). */
const headSteps = 8

/** Part of the MLP that goes before any head does. */
const leastMlp = 0.25

export const chunkChannelsFor = (ffnSize: number): number => (ffnSize < 1024 ? 32 : 128)

/**
 * `levels` nested sub-networks of whole chunks and heads, spaced evenly by the bytes they read, from `smallestShare` to
 * everything; fewer when a layer has fewer chunks and heads than that. Heads are given up only when the MLP is down to
 * `leastMlp`: looking things up suffers first (README's answers per level).
 */
export function cutLevels(shape: LlamaShape, form: Form, levels: number): Cut {
  const { ffnSize, kvHeads } = shape
  const chunkChannels = chunkChannelsFor(ffnSize)
  const chunks = Math.ceil(ffnSize / chunkChannels)
  const headStep = Math.ceil(kvHeads / headSteps)
  const steps = Math.ceil(kvHeads / headStep)
  const { mlp, heads, always } = bytesOf(shape, form)
  const cuts: { width: number; count: number }[] = []
  for (let level = 0; level < levels - 1; level++) {
    const share = smallestShare + ((1 - smallestShare) * level) / (levels - 1)
    const kept = share * (mlp + heads + always) - always
    // The smallest level rounds down, so that it is at most as large as asked for.
    const part = (fraction: number, of: number): number =>
      Math.min(of, Math.max(1, level === 0 ? Math.floor(fraction * of) : Math.round(fraction * of)))
    const before = cuts[level - 1] ?? { width: 0, count: 0 }
    const count = Math.min(kvHeads, Math.max(before.count, part((kept - leastMlp * mlp) / heads, steps) * headStep))
    const width = part((kept - (count / kvHeads) * heads) / mlp, chunks) * chunkChannels
    cuts.push({ width: Math.min(ffnSize, Math.max(before.width, width)), count })
  }
  cuts.push({ width: ffnSize, count: kvHeads })
  const distinct = cuts.filter(
    (cut, i) => i === cuts.length - 1 || cut.width < cuts[i + 1].width || cut.count < cuts[i + 1].count,
  )
  return {
    chunkChannels,
    widths: distinct.map(({ width }) => width),
    counts: distinct.map(({ count }) => count),
  }
}

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

/** The same cut for a layer with its own orders. */
export const layerLevels = ({ widths, counts }: Cut, channels: Int32Array, groups: Int32Array): LayerLevels => ({
  channels,
  widths,
  groups,
  counts,
})
