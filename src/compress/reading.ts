import { fullSubnet, maskOf, type Subnet } from './groups.ts'
import type { LayerMeans, LayerSums } from './network.ts'
import { type Bench, batches, bytesPerRow, carve, growing, noMeans } from './passes.ts'
import type { Spool } from './spool.ts'
import type { Sample } from './text.ts'
import type { WeightStream } from './weights.ts'

/**
 * Reads whole samples with the full network, layer by layer. Without a spool it only sums up the tokens of the ranges; with
 * one it leaves keys, values and log-probabilities there, and returns the likeliest token at every place of the ranges, from
 * the one before on.
 */
export function readAll(
  bench: Bench,
  weights: WeightStream,
  sums: LayerSums[] | null,
  spool: Spool | null,
): Int32Array[][] {
  const { shape, groups, network, samples, budgetBytes } = bench
  const pieces = {
    masks: fullSubnet(groups),
    means: noMeans(shape, groups),
    keys: growing(),
    values: growing(),
    tokens: Math.max(fewestTokens, Math.floor(budgetBytes / bytesPerRow(shape, groups))),
  }
  const tops: Int32Array[][] = samples.map(() => [])
  for (const batch of batches(
    samples.map(({ ids }) => 4 * ids.length * shape.hiddenSize),
    budgetBytes,
  )) {
    const hidden = carve(
      bench.room,
      batch.map((sample) => samples[sample].ids.length * shape.hiddenSize),
    )
    for (const [i, sample] of batch.entries()) weights.embed(samples[sample].ids, hidden[i])
    for (let layer = 0; layer < shape.layers; layer++) {
      const loaded = weights.layer(layer)
      for (const [i, sample] of batch.entries()) {
        const { keys, values } = readLayer(
          bench,
          pieces,
          layer,
          loaded,
          samples[sample],
          hidden[i],
          sums?.[layer] ?? null,
        )
        spool?.writeKeys(sample, layer, keys, values)
      }
    }
    if (!spool) continue
    const head = weights.head()
    for (const [i, sample] of batch.entries()) {
      for (const [range, { from, to }] of samples[sample].ranges.entries()) {
        // The token before the range predicts the first one of it.
        const states = hidden[i].subarray((from - 1) * shape.hiddenSize, to * shape.hiddenSize)
        const { logs, top } = network.reference(head, states, to - from + 1)
        spool.writeReference(sample, range, logs.subarray(shape.vocabSize))
        tops[sample].push(Int32Array.from(top, Number))
      }
    }
  }
  return tops
}

/** A piece of fewer tokens is not worth a run. */
const fewestTokens = 8

interface Pieces {
  readonly masks: Subnet
  readonly means: readonly LayerMeans[]
  readonly keys: Bench['room']
  readonly values: Bench['room']
  readonly tokens: number
}

/** Runs one layer over a whole sample, in pieces that fit the budget, and gives its keys and values. */
function readLayer(
  { shape, groups, network }: Bench,
  { masks, means, keys, values, tokens }: Pieces,
  layer: number,
  loaded: ReturnType<WeightStream['layer']>,
  { ids, ranges }: Sample,
  hidden: Float32Array,
  sums: LayerSums | null,
): { readonly keys: Float32Array; readonly values: Float32Array } {
  const width = shape.kvHeads * shape.headSize
  const all = { keys: keys(ids.length * width), values: values(ids.length * width) }
  const counted = countedIn(ids.length, ranges)
  const mask = { heads: maskOf(groups, masks, layer, 'heads'), mlp: maskOf(groups, masks, layer, 'mlp') }
  for (let from = 0; from < ids.length; from += tokens) {
    const to = Math.min(ids.length, from + tokens)
    const before = from * width
    const past = from === 0 ? null : { keys: all.keys.subarray(0, before), values: all.values.subarray(0, before) }
    const rows = { variants: 1, tokens: to - from, position: from, past, masks: mask, means: means[layer] }
    network.layer(loaded, rows, hidden.subarray(from * shape.hiddenSize, to * shape.hiddenSize), {
      keys(newKeys, newValues) {
        all.keys.set(newKeys, before)
        all.values.set(newValues, before)
      },
      ...(sums && { sums: { into: sums, counted: counted.subarray(from, to) } }),
    })
  }
  return all
}

function countedIn(tokens: number, ranges: Sample['ranges']): Float32Array {
  const counted = new Float32Array(tokens)
  for (const { from, to } of ranges) counted.fill(1, from, to)
  return counted
}
