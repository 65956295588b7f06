import { bytesOf, type Link, running } from './chain.ts'
import type { Group, Groups, Subnet } from './groups.ts'
import { without } from './groups.ts'
import type { LayerMeans } from './network.ts'
import { seededShuffle } from './random.ts'

/** What elimination asks of the calibration: how this is computed is not its concern. */
export interface Gauge {
  /** Errors tr(W Σ Wᵀ) of all groups and means of their channels, as they are inside `subnet`. */
  fluctuate(subnet: Subnet, means: readonly LayerMeans[]): { errors: Float64Array; means: readonly LayerMeans[] }
  /** Mean KL to the full network in nats a token of each sub-network, with these means for what is dropped. */
  divergences(subnets: readonly Subnet[], means: readonly LayerMeans[]): Float64Array
  /** Joules a decoded token saves without this group. */
  joules(group: Group): number
}

export interface EliminationOptions {
  readonly seed: number
  /** The chain ends at or below this share of the full network's bytes. */
  readonly floorShare: number
  /** Bytes dropped between two scorings, as a share of the full network's. */
  readonly roundShare: number
  /** Share of the groups whose ablation is measured in a round: those that seem to cost least per joule. */
  readonly ablateShare: number
}

/** One round: what was dropped after one scoring of the sub-network that was left. */
export interface Round {
  readonly round: number
  readonly links: readonly Link[]
  /** Of the sub-network before the round. */
  readonly kl: number
  readonly bytesShare: number
  readonly measured: number
  /** σ of each layer, in nats a token and unit of error. */
  readonly gains: readonly { readonly heads: number; readonly mlp: number }[]
}

/** Where an elimination stands after a round. */
export interface Progress {
  readonly subnet: Subnet
  /** For dropped groups the means from the round that dropped them, for the others of the last round. */
  readonly means: readonly LayerMeans[]
}

/** Part of a layer's groups that is dropped at random to find its noise gain. */
const gainShare = 0.1

/**
 * Drops groups in the order of loss per joule, a round at a time: on the sub-network that is left, errors are measured and
 * turned into losses with each layer's noise gain, the losses of the cheapest groups are measured, and the cheapest of those go.
 * Nothing comes back, so the sub-networks are nested. Yields each round with where it led.
 */
export function* eliminate(
  groups: Groups,
  gauge: Gauge,
  options: EliminationOptions,
  start: Progress,
  firstRound: number,
): Generator<Round & Progress> {
  let { subnet, means } = start
  for (let round = firstRound; bytesOf(groups, subnet) > options.floorShare * groups.bytes; round++) {
    const left = running(groups, subnet)
    if (left.length === 0) return
    const found = gauge.fluctuate(subnet, means)
    means = merge(groups, subnet, means, found.means)
    const samples = gainSamples(groups, subnet, left, options.seed + round)
    const [kl, ...noisy] = gauge.divergences([subnet, ...samples.map((drop) => without(subnet, drop))], means)
    const gains = gainsOf(groups, samples, noisy, kl, found.errors)
    const price = (group: number, loss: number): number => Math.max(leastLoss, loss) / gauge.joules(groups.all[group])
    const estimate = (group: number): number => {
      const { layer, kind } = groups.all[group]
      return gains[layer][kind] * found.errors[group]
    }
    const byEstimate = left.sort((a, b) => price(a, estimate(a)) - price(b, estimate(b)) || a - b)
    const tried = byEstimate.slice(0, Math.max(leastAblated, Math.ceil(options.ablateShare * left.length)))
    const ablated = gauge.divergences([subnet, ...tried.map((group) => without(subnet, [group]))], means)
    const losses = new Map(tried.map((group, i) => [group, ablated[i + 1] - ablated[0]]))
    const order = tried.sort((a, b) => price(a, losses.get(a) ?? 0) - price(b, losses.get(b) ?? 0) || a - b)
    const links = take(groups, gauge, subnet, order, losses, options)
    const before = { kl: ablated[0], bytesShare: bytesOf(groups, subnet) / groups.bytes }
    subnet = without(
      subnet,
      links.map(({ group }) => group),
    )
    yield { round, links, ...before, measured: tried.length, gains, subnet, means }
  }
}

/** Groups whose loss is measured in any case: for a small model that is all of them. */
const leastAblated = 128

/** A loss that noise made negative still costs a little: of several such, the one that saves most goes first. */
const leastLoss = 1e-9

/** As many of the ordered groups as a round may drop. */
function take(
  groups: Groups,
  gauge: Gauge,
  subnet: Subnet,
  order: readonly number[],
  losses: ReadonlyMap<number, number>,
  { roundShare, floorShare }: EliminationOptions,
): Link[] {
  const links: Link[] = []
  let left = subnet
  for (const group of order) {
    const dropped = bytesOf(groups, subnet) - bytesOf(groups, left)
    if (links.length > 0 && dropped + groups.all[group].bytes / 2 > roundShare * groups.bytes) break
    if (bytesOf(groups, left) <= floorShare * groups.bytes) break
    links.push({ group, loss: losses.get(group) ?? 0, joules: gauge.joules(groups.all[group]), measured: true })
    left = without(left, [group])
  }
  return links
}

/** For each layer and kind a random tenth of what is left. */
function gainSamples({ all }: Groups, subnet: Subnet, left: readonly number[], seed: number): number[][] {
  const layers = all[all.length - 1].layer + 1
  return Array.from({ length: layers }, (_, layer) =>
    (['heads', 'mlp'] as const).map((kind) => {
      const own = left.filter((i) => all[i].layer === layer && all[i].kind === kind && subnet[i] === 1)
      const count = Math.ceil(gainShare * own.length)
      return [...seededShuffle(own.length, seed * 1009 + layer)].slice(0, count).map((i) => own[i])
    }),
  ).flat()
}

/** σ = ΔKL / Σ error, layer by layer; where nothing can be dropped it does not matter. */
function gainsOf(
  { all }: Groups,
  samples: readonly (readonly number[])[],
  noisy: readonly number[],
  kl: number,
  errors: Float64Array,
): { heads: number; mlp: number }[] {
  const gain = (sample: number): number => {
    const error = samples[sample].reduce((sum, group) => sum + errors[group], 0)
    return error > 0 ? Math.max(leastLoss, noisy[sample] - kl) / error : 0
  }
  const layers = all[all.length - 1].layer + 1
  return Array.from({ length: layers }, (_, layer) => ({ heads: gain(2 * layer), mlp: gain(2 * layer + 1) }))
}

/** Means of dropped groups stay, the others are replaced. */
function merge(groups: Groups, subnet: Subnet, old: readonly LayerMeans[], fresh: readonly LayerMeans[]): LayerMeans[] {
  const { perLayer, chunks } = groups
  return fresh.map((means, layer) => {
    const pick = (kind: 'heads' | 'mlp', count: number, first: number): Float32Array => {
      const merged = means[kind].slice()
      const size = merged.length / count
      for (let g = 0; g < count; g++) {
        if (subnet[first + g] === 0) merged.set(old[layer][kind].subarray(g * size, (g + 1) * size), g * size)
      }
      return merged
    }
    const start = layer * perLayer
    return { heads: pick('heads', perLayer - chunks, start), mlp: pick('mlp', chunks, start + perLayer - chunks) }
  })
}
