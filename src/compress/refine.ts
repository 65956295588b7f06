import type { Point } from './frontier.ts'
import type { Counts, GateProblem, Lane } from './gates.ts'
import type { Subnet } from './groups.ts'

/** Where a search stands: after a kill it goes on from here. */
export interface Found {
  readonly round: number
  /** Rounds it may take at most. */
  readonly of: number
  readonly counts: Counts
  /** Lane that the next round begins with, and rounds in a row that gained nothing. */
  readonly lane: number
  readonly vain: number
}

/** Single changes that are measured in a round, about so many for a lane and level; lanes that are changed together; rounds for each lane. */
const [changesPerRound, changesEach, mostTogether, mostSweeps] = [320, 5, 8, 5]

/**
 * Improves levels by measuring: losses of groups do not add up, least of all when a gate keeps a layer from following the
 * chain. A round measures what it does to each level alone to give a lane a little more or less; from that table it is known
 * what any way of a lane through the levels is worth. The best ways of several lanes are then measured together, and what is
 * worth most is kept. A large model's lanes take turns. Yields every round; it ends when all lanes were tried in vain.
 */
export function* refine(
  problem: GateProblem,
  start: Pick<Found, 'counts'> & Partial<Found>,
  measure: (subnets: readonly Subnet[]) => ArrayLike<number>,
): Generator<Found> {
  const { lanes } = problem
  const levels = start.counts[0].length
  const losses = remembered(measure)
  const atOnce = Math.min(lanes.length, Math.max(1, Math.floor(changesPerRound / (changesEach * levels))))
  const sweep = Math.ceil(lanes.length / atOnce)
  let { counts, round = 0, lane = 0, vain = 0 } = start
  const of = mostSweeps * sweep
  while (round < of && vain < sweep) {
    const open = Array.from({ length: atOnce }, (_, i) => (lane + i) % lanes.length)
    const better = improved(problem, counts, open, losses)
    vain = better === null ? vain + 1 : 0
    counts = better ?? counts
    lane = (lane + atOnce) % lanes.length
    yield { round: ++round, of, counts, lane, vain }
  }
}

/** Measured losses of sub-networks, each measured once. */
function remembered(
  measure: (subnets: readonly Subnet[]) => ArrayLike<number>,
): (subnets: readonly Subnet[]) => number[] {
  const known = new Map<string, number>()
  const key = (subnet: Subnet): string => Buffer.from(subnet).toString('latin1')
  return (subnets) => {
    const missing = new Map(
      subnets.flatMap((subnet) => (known.has(key(subnet)) ? [] : [[key(subnet), subnet] as const])),
    )
    const found = missing.size === 0 ? [] : measure([...missing.values()])
    for (const [i, name] of [...missing.keys()].entries()) known.set(name, found[i])
    return subnets.map((subnet) => known.get(key(subnet)) ?? Number.NaN)
  }
}

/** The levels of a choice with their measured losses. */
export const pointsOf = (
  { totals, subnets }: GateProblem,
  counts: Counts,
  losses: (subnets: readonly Subnet[]) => ArrayLike<number>,
): Point[] => {
  const found = losses(subnets(counts))
  return totals(counts).map(({ joules }, k) => ({ joules, loss: found[k] }))
}

function improved(
  problem: GateProblem,
  counts: Counts,
  open: readonly number[],
  losses: (subnets: readonly Subnet[]) => number[],
): Counts | null {
  const { worth, subnets } = problem
  const before = pointsOf(problem, counts, losses)
  const tables = measuredTables(problem, counts, open, before, losses)
  const proposals = propose(problem, counts, before, tables)
  // All that is new in one batch.
  losses(proposals.flatMap((proposal) => subnets(proposal)))
  let [best, most]: [Counts | null, number] = [null, worth(before) + leastGain]
  for (const proposal of proposals) {
    const value = worth(pointsOf(problem, proposal, losses))
    if (value > most) [best, most] = [proposal, value]
  }
  return best
}

const leastGain = 1e-6

/** For each open lane what a count in place of its own adds to the loss of a level, by level; nothing for counts that were not tried. */
type Tables = ReadonlyMap<number, readonly ReadonlyMap<number, number>[]>

function measuredTables(
  { lanes, subnets }: GateProblem,
  counts: Counts,
  open: readonly number[],
  before: readonly Point[],
  losses: (subnets: readonly Subnet[]) => number[],
): Tables {
  const now = subnets(counts)
  // The full network stays as it is.
  const changes = open.flatMap((lane) =>
    now.slice(0, -1).flatMap((subnet, level) =>
      nearby(lanes[lane], counts[lane])
        .filter((count) => count !== counts[lane][level])
        .map((count) => ({ lane, level, count, subnet: withCount(subnet, lanes[lane], count) })),
    ),
  )
  const found = losses(changes.map(({ subnet }) => subnet))
  const tables = new Map(open.map((lane) => [lane, counts[lane].map((count) => new Map([[count, 0]]))]))
  for (const [i, { lane, level, count }] of changes.entries()) {
    tables.get(lane)?.[level].set(count, found[i] - before[level].loss)
  }
  return tables
}

/** Counts in use, and the next smaller and larger ones that may be used. */
function nearby({ counts }: Lane, used: readonly number[]): number[] {
  const places = used.flatMap((count) => [-1, 0, 1].map((step) => counts.indexOf(count) + step))
  return [...new Set(places)].flatMap((place) => counts[place] ?? [])
}

function withCount(subnet: Subnet, { order }: Lane, count: number): Subnet {
  const changed = subnet.slice()
  for (const [place, group] of order.entries()) changed[group] = place < count ? 1 : 0
  return changed
}

/** Choices with one, two, … lanes changed, each time the one that seems to gain most. */
function propose(
  { lanes, candidates, worth }: GateProblem,
  counts: Counts,
  before: readonly Point[],
  tables: Tables,
): Counts[] {
  const left = new Set(tables.keys())
  const proposals: Counts[] = []
  let [points, chosen] = [before, counts]
  while (proposals.length < mostTogether) {
    let best: { lane: number; way: readonly number[]; points: Point[]; value: number } | null = null
    for (const lane of left) {
      const [own, table] = [counts[lane], tables.get(lane) ?? []]
      for (const way of candidates[lane]) {
        const moved = points.map(({ joules, loss }, k) => ({
          joules: joules + lanes[lane].joules[way[k]] - lanes[lane].joules[own[k]],
          loss: loss + (table[k].get(way[k]) ?? Number.POSITIVE_INFINITY),
        }))
        const value = worth(moved)
        if (value > (best?.value ?? worth(points) + leastGain)) best = { lane, way, points: moved, value }
      }
    }
    if (best === null) break
    const { lane, way } = best
    left.delete(lane)
    points = best.points
    chosen = chosen.map((own, i) => (i === lane ? way : own))
    proposals.push(chosen)
  }
  return proposals
}
