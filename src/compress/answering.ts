import { DeapdError } from '../errors.ts'
import { maskOf, type Subnet } from './groups.ts'
import type { LayerMeans, LayerSums } from './network.ts'
import { type Bench, batches, bytesPerRow, carve, type Place, type Scores, tokensOf } from './passes.ts'
import type { Spool } from './spool.ts'
import type { Sample } from './text.ts'
import type { WeightStream } from './weights.ts'

export interface Answering {
  readonly weights: WeightStream
  readonly spool: Spool
  readonly places: readonly Place[]
  /** What stands for a dropped group, layer by layer. */
  readonly means: readonly LayerMeans[]
  /** From `readAll`. */
  readonly tops: readonly (readonly Int32Array[])[]
}

/** Told what a variant, by number, made of a place, by number: Σ KL over its tokens in nats, and whether it was right. */
export type OnScore = (variant: number, at: number, kl: number, right: 0 | 1) => void

/** What variants of the network make of some ranges; see `answerEach`. `sums` are those of one variant alone. */
export function answer(
  bench: Bench,
  variants: readonly Subnet[],
  task: Answering,
  sums: LayerSums[] | null = null,
): Scores {
  const kl = variants.map(() => new Float64Array(task.places.length))
  const right = variants.map(() => new Uint8Array(task.places.length))
  answerEach(bench, variants, task, sums, (variant, at, divergence, rightly) => {
    kl[variant][at] = divergence
    right[variant][at] = rightly
  })
  return { kl, right }
}

/**
 * Runs the tokens of some ranges through variants of the network, after what the full network read before them: what the
 * engine does when a request is answered below the full level. Rows of a batch are variants. A variant joins in the first
 * layer where it differs from the first one, as far as one run can take them all. Keeps nothing: memory grows neither with
 * the places nor with the variants, of which so many go together as have room with the longest range.
 */
export function answerEach(
  bench: Bench,
  variants: readonly Subnet[],
  task: Answering,
  sums: LayerSums[] | null,
  each: OnScore,
): void {
  const { shape, groups, samples, budgetBytes } = bench
  const joins = variants.map((variant) => Math.floor(firstDifference(variants[0], variant) / groups.perLayer))
  const order = [...variants.keys()].sort((a, b) => joins[a] - joins[b] || a - b)
  const [first, ...others] = order.map((variant) => ({ variant, subnet: variants[variant], joins: joins[variant] }))
  const longest = task.places.reduce((most, place) => Math.max(most, tokensOf(samples, place)), 1)
  const beside = Math.max(1, Math.floor(budgetBytes / (4 * longest * shape.hiddenSize)) - 1)
  for (let from = 0; from === 0 || from < others.length; from += beside) {
    const together = [first, ...others.slice(from, from + beside)]
    // The first one runs with all of them, and counts once.
    answerTogether(bench, together, task, sums, (i, at, kl, right) => {
      if (i > 0 || from === 0) each(together[i].variant, at, kl, right)
    })
  }
}

interface Variant {
  readonly subnet: Subnet
  /** The layer in which it leaves the first one. */
  readonly joins: number
}

function answerTogether(
  bench: Bench,
  sorted: readonly Variant[],
  task: Answering,
  sums: LayerSums[] | null,
  each: OnScore,
): void {
  const { shape, samples, budgetBytes } = bench
  const { places, weights } = task
  const sizes = places.map((place) => 4 * sorted.length * tokensOf(samples, place) * shape.hiddenSize)
  for (const batch of batches(sizes, budgetBytes)) {
    const rooms = carve(
      bench.room,
      batch.map((at) => sizes[at] / 4),
    )
    const hidden = batch.map((at, i) => {
      const { from, to } = samples[places[at].sample].ranges[places[at].range]
      const states = rooms[i]
      weights.embed(samples[places[at].sample].ids.subarray(from, to), states)
      return { at, states, live: 1 }
    })
    for (let layer = 0; layer < shape.layers; layer++) {
      const loaded = weights.layer(layer)
      for (const text of hidden) {
        const one = tokensOf(samples, places[text.at]) * shape.hiddenSize
        while (text.live < sorted.length && sorted[text.live].joins <= layer) {
          text.states.copyWithin(text.live * one, 0, one)
          text.live++
        }
        runLayer(bench, layer, loaded, task, sorted, text, sums)
      }
    }
    const head = weights.head()
    for (const { at, states } of hidden) {
      const { sample, range } = places[at]
      const tokens = tokensOf(samples, places[at])
      const one = tokens * shape.hiddenSize
      const reference = task.spool.readReference(sample, range)
      const atOnce = variantsAtOnce(bench, tokens)
      for (let from = 0; from < sorted.length; from += atOnce) {
        const to = Math.min(sorted.length, from + atOnce)
        const found = bench.network.divergence(head, states.subarray(from * one, to * one), tokens, reference)
        for (let i = from; i < to; i++) {
          const rows = [(i - from) * tokens, (i - from + 1) * tokens] as const
          const sum = found.kl.subarray(...rows).reduce((a, b) => a + b, 0)
          if (!Number.isFinite(sum)) throw new DeapdError('engine_failed', { detail: 'the divergence is not a number' })
          const top = found.top.subarray(...rows)
          each(i, at, sum, isRight(samples[sample], range, task.tops[sample][range][0], top))
        }
      }
    }
  }
}

interface Text {
  readonly at: number
  readonly states: Float32Array
  /** Variants that have joined. */
  readonly live: number
}

function runLayer(
  bench: Bench,
  layer: number,
  loaded: ReturnType<WeightStream['layer']>,
  { places, spool, means }: Answering,
  variants: readonly Variant[],
  { at, states, live }: Text,
  sums: LayerSums[] | null,
): void {
  const { shape, groups, samples, network } = bench
  const { sample, range } = places[at]
  const { from } = samples[sample].ranges[range]
  const tokens = tokensOf(samples, places[at])
  const one = tokens * shape.hiddenSize
  const past = spool.readKeys(sample, layer, from)
  const atOnce = variantsAtOnce(bench, tokens)
  for (let start = 0; start < live; start += atOnce) {
    const count = Math.min(live - start, atOnce)
    const masks = (kind: 'heads' | 'mlp'): Float32Array => {
      const each = variants.slice(start, start + count).map(({ subnet }) => maskOf(groups, subnet, layer, kind))
      const all = new Float32Array(count * each[0].length)
      for (const [i, mask] of each.entries()) all.set(mask, i * mask.length)
      return all
    }
    const rows = {
      variants: count,
      tokens,
      position: from,
      past,
      masks: { heads: masks('heads'), mlp: masks('mlp') },
      means: means[layer],
    }
    const counted = sums && new Float32Array(count * tokens).fill(1)
    network.layer(loaded, rows, states.subarray(start * one, (start + count) * one), {
      ...(sums && counted && { sums: { into: sums[layer], counted } }),
    })
  }
}

const variantsAtOnce = ({ shape, groups, budgetBytes }: Bench, tokens: number): number =>
  Math.max(1, Math.floor(budgetBytes / (tokens * bytesPerRow(shape, groups))))

function firstDifference(one: Subnet, other: Subnet): number {
  const at = one.findIndex((on, i) => on !== other[i])
  return Math.max(at, 0)
}

function isRight({ ids, ranges }: Sample, range: number, first: number, top: BigInt64Array): 0 | 1 {
  const { from } = ranges[range]
  return first === ids[from] && top.every((id, i) => Number(id) === ids[from + 1 + i]) ? 1 : 0
}
