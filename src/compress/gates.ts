import { type Link, subnetsOf } from './chain.ts'
import { type Point, spacing } from './frontier.ts'
import type { Groups, Subnet } from './groups.ts'
import { groupNumber } from './groups.ts'

/** How many gates one layer may have: each costs the full network time (src/README.md). */
const gateBudget = { mlp: 2, heads: 1 } as const

/** Groups of one layer and kind, first the one that is dropped last, with what keeping each is worth. */
export interface Lane {
  readonly layer: number
  readonly kind: 'heads' | 'mlp'
  /** Numbers of the groups. */
  readonly order: readonly number[]
  /** Loss and joules without the groups from place c on, c = 0 … order.length. */
  readonly loss: readonly number[]
  readonly joules: readonly number[]
  /** Counts that may be used, ascending, the last all. */
  readonly counts: readonly number[]
  readonly gates: number
}

export interface GateOptions {
  readonly groups: Groups
  /** The whole chain, its losses scaled so that they add up to what was measured. */
  readonly links: readonly Link[]
  /** Places in the chain (0 is the full network) that the levels were chosen at, from the smallest network to the full one. */
  readonly places: readonly number[]
  /** Places whose counts may be used besides. */
  readonly allowed: readonly number[]
  readonly fullJoules: number
}

/** Counts of each lane at each level: what the levels are, lane by lane. */
export type Counts = readonly (readonly number[])[]

/** The levels of a package as a choice: for every lane one of its ways to rise to everything in few steps. */
export interface GateProblem {
  readonly lanes: readonly Lane[]
  readonly candidates: readonly Counts[]
  /** Joules and losses of the levels, by adding up. */
  totals(counts: Counts): Point[]
  /** Hypervolume up to the full network's joules and a loss of 1, less what it costs to come too close to the next level, or that the smallest is not as small as chosen. */
  worth(points: readonly Point[]): number
  /** What it costs all levels to leave the joules that were chosen: far from there nothing was measured that could be added up. */
  strayed(points: readonly Point[]): number
  subnets(counts: Counts): Subnet[]
  /** What changes each lane's own joules least. */
  readonly rounded: Counts
}

export function gateProblem(options: GateOptions): GateProblem {
  const { groups, links, places, fullJoules } = options
  const subnets = [...subnetsOf(groups, links)]
  const lanes = lanesOf(options, subnets)
  const totals = (counts: Counts): Point[] =>
    places.map((_, level) => ({
      joules: lanes.reduce((sum, lane, i) => sum + lane.joules[counts[i][level]], fullJoules),
      loss: lanes.reduce((sum, lane, i) => sum + lane.loss[counts[i][level]], 0),
    }))
  const countsAt = (lane: Lane, place: number): number => lane.order.filter((g) => subnets[place][g] === 1).length
  const wanted = totals(lanes.map((lane) => places.map((place) => countsAt(lane, place))))
  const strayed = (joules: number, k: number): number => movePrice * ((joules - wanted[k].joules) / fullJoules) ** 2
  const candidates = lanes.map((lane) => steps(lane, places.length))
  return {
    lanes,
    candidates,
    totals,
    worth: (points) =>
      points.reduce((value, { joules, loss }, k) => {
        const area = k + 1 < points.length ? ((points[k + 1].joules - joules) / fullJoules) * (1 - loss) : 0
        const close = k === 0 ? 0 : Math.max(0, points[k - 1].joules / joules - (1 - spacing))
        return value + area - spacingPrice * close - (k === 0 ? strayed(joules, 0) : 0)
      }, 0),
    strayed: (points) => points.reduce((sum, { joules }, k) => sum + strayed(joules, k), 0),
    subnets: (counts) =>
      places.map((_, level) => {
        const subnet = new Uint8Array(groups.all.length)
        for (const [i, { order }] of lanes.entries()) for (const g of order.slice(0, counts[i][level])) subnet[g] = 1
        return subnet
      }),
    rounded: lanes.map((lane, i) => {
      const target = places.map((place) => lane.joules[countsAt(lane, place)])
      const miss = (c: readonly number[]): number => c.reduce((sum, n, k) => sum + (lane.joules[n] - target[k]) ** 2, 0)
      return candidates[i].reduce((best, c) => (miss(c) < miss(best) ? c : best))
    }),
  }
}

/** Coordinate ascent over lanes on the levels' worth, with losses and joules of groups added up. */
export function ascend({ lanes, candidates, totals, worth, strayed, rounded }: GateProblem): Counts {
  const counts = [...rounded]
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let changed = false
    for (const [i, lane] of lanes.entries()) {
      const now = totals(counts)
      const value = (c: readonly number[]): number => {
        const points = now.map((point, k) => moved(point, lane, counts[i][k], c[k]))
        return worth(points) - strayed(points)
      }
      const best = candidates[i].reduce((most, c) => (value(c) > value(most) + 1e-12 ? c : most), counts[i])
      changed ||= best !== counts[i]
      counts[i] = best
    }
    if (!changed) break
  }
  return counts
}

/** A level after one lane went from one count to another. */
const moved = ({ joules, loss }: Point, lane: Lane, from: number, to: number): Point => ({
  joules: joules + lane.joules[to] - lane.joules[from],
  loss: loss + lane.loss[to] - lane.loss[from],
})

const mostSweeps = 6

/** In hypervolume, a square of a share of the full joules, and a share of the next level's. */
const [movePrice, spacingPrice] = [8, 2]

function lanesOf({ groups, links, places, allowed }: GateOptions, subnets: readonly Subnet[]): Lane[] {
  const link = new Map(links.map((one) => [one.group, one]))
  const dropped = new Map(links.map(({ group }, i) => [group, i]))
  const { all, perLayer, chunks } = groups
  return Array.from({ length: all.length / perLayer }, (_, layer) =>
    (['heads', 'mlp'] as const).map((kind): Lane => {
      const size = kind === 'mlp' ? chunks : perLayer - chunks
      const own = Array.from({ length: size }, (_, index) => groupNumber(groups, layer, kind, index))
      const last = (g: number): number => dropped.get(g) ?? links.length
      const order = own.sort((a, b) => last(b) - last(a) || a - b)
      const behind = (value: (one: Link) => number): number[] => {
        const sums = new Array(size + 1).fill(0)
        for (let c = size - 1; c >= 0; c--) {
          const one = link.get(order[c])
          sums[c] = one ? sums[c + 1] + value(one) : Number.POSITIVE_INFINITY
        }
        return sums
      }
      const seen = [...places, ...allowed].map((p) => order.filter((g) => subnets[p][g] === 1).length)
      const counts = [...new Set([...seen, size])].sort((a, b) => a - b)
      return {
        layer,
        kind,
        order,
        loss: behind(({ loss }) => loss),
        joules: behind(({ joules }) => -joules),
        counts,
        gates: gateBudget[kind],
      }
    }),
  ).flat()
}

/** All ways to rise to everything over `levels` levels in at most so many steps. */
function steps({ counts, gates }: Lane, levels: number): readonly (readonly number[])[] {
  const all = counts[counts.length - 1]
  const found: number[][] = []
  const extend = (head: readonly number[], low: number, left: number): void => {
    if (head.length === levels) {
      if (head[levels - 1] === all) found.push([...head])
      return
    }
    const before = head[head.length - 1]
    if (before !== undefined) extend([...head, before], low, left)
    if (before !== undefined && left === 0) return
    for (const count of counts) if (count > low) extend([...head, count], count, before === undefined ? left : left - 1)
  }
  extend([], -1, gates)
  return found
}
