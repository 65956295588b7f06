import { fullSubnet, maskOf } from './groups.ts'
import type { LayerSums } from './network.ts'
import { type Bench, batches, carve, noMeans } from './passes.ts'
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
  const subnet = fullSubnet(groups)
  const means = noMeans(shape, groups)
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
        const { ids, ranges } = samples[sample]
        const rows = {
          variants: 1,
          tokens: ids.length,
          position: 0,
          past: null,
          masks: { heads: maskOf(groups, subnet, layer, 'heads'), mlp: maskOf(groups, subnet, layer, 'mlp') },
          means: means[layer],
        }
        network.layer(loaded, rows, hidden[i], {
          ...(spool && { keys: (keys, values) => spool.writeKeys(sample, layer, keys, values) }),
          ...(sums && { sums: { into: sums[layer], counted: countedIn(ids.length, ranges) } }),
        })
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

function countedIn(tokens: number, ranges: Sample['ranges']): Float32Array {
  const counted = new Float32Array(tokens)
  for (const { from, to } of ranges) counted.fill(1, from, to)
  return counted
}
