import { bytesOf, type Link, sampled, subnetsOf } from './chain.ts'
import { chooseLevels, type Point } from './frontier.ts'
import { ascend, type Counts, type GateProblem, gateProblem } from './gates.ts'
import type { Groups, Subnet } from './groups.ts'
import type { LevelScore } from './measure.ts'
import { pointsOf } from './refine.ts'

export interface ChainPoint extends Point {
  /** Groups dropped. */
  readonly place: number
  readonly share: number
}

/** How many sub-networks of a chain are measured for the choice of levels. */
const measuredPoints = 24

/** Levels from the smallest to the full network, and what they make of the held-out texts. */
export interface Frontier {
  readonly joules: readonly number[]
  readonly scores: readonly LevelScore[]
}

export interface LevelChoice {
  /** The measured points of the chain, from the full network down, and what each made of the held-out texts. */
  readonly points: readonly ChainPoint[]
  readonly scores: readonly LevelScore[]
  /** Places in the chain that the levels were meant to be. */
  readonly places: readonly number[]
  /** What they are worth inside the gate budget: as the order has it, and after the search. */
  readonly begun: Frontier
  readonly ended: Frontier
  /** The levels, from the smallest to the full network. */
  readonly subnets: readonly Subnet[]
}

/** How sub-networks are measured. */
export interface Yardstick {
  readonly groups: Groups
  readonly joulesOf: (subnet: Subnet) => number
  /** What they make of the held-out texts. */
  readonly measure: (subnets: readonly Subnet[]) => readonly LevelScore[]
  readonly heldOutTokens: number
}

export interface ChoiceOptions extends Yardstick {
  readonly links: readonly Link[]
  /** How much of the full network's use sub-networks lose, on the texts that groups were scored on: whatever is chosen is chosen by it. */
  readonly lost: (subnets: readonly Subnet[]) => ArrayLike<number>
  /** Searches on from a start, by measuring; absent: what adding up says holds. */
  readonly search?: (problem: GateProblem, start: Counts) => Counts
  readonly count: number
  /** Wanted shares of the full network's bytes, the last 1; otherwise the levels of largest hypervolume are found. */
  readonly shares?: readonly number[]
  /** Shares to begin at in place of the chain's own best, where that is worth more inside the gates. */
  readonly orAt?: readonly number[]
}

/** Measures points of a chain and chooses levels among them. */
export function chooseSubnets(options: ChoiceOptions): LevelChoice {
  const { groups, links, joulesOf, lost, search, count, shares, orAt } = options
  const subnets = [...subnetsOf(groups, links)]
  const bytes = subnets.map((subnet) => bytesOf(groups, subnet))
  const places = sampled(bytes, measuredPoints)
  const losses = lost(places.map((place) => subnets[place]))
  const points = places.map((place, i) => ({ place, joules: joulesOf(subnets[place]), loss: losses[i] }))
  const nearest = (share: number): number =>
    bytes.reduce(
      (best, b, i) => (Math.abs(b / groups.bytes - share) < Math.abs(bytes[best] / groups.bytes - share) ? i : best),
      0,
    )
  // A level of no use would take the gates that the others need.
  const useful = points.filter(({ loss }) => loss < 1)
  const wanted = shares ?? orAt
  const begin = (chosen: readonly number[]) => {
    const problem = gateProblem({
      groups,
      links: rescaled(links, points),
      places: [...new Set(chosen)].sort((a, b) => b - a),
      allowed: places,
      fullJoules: joulesOf(subnets[0]),
    })
    // Adding up finds what one bad group costs where it is not followed, and misleads where all groups cost a little.
    const starts = [problem.rounded, ascend(problem)]
    const worths = starts.map((counts) => problem.worth(pointsOf(problem, counts, lost)))
    const best = worths[1] > worths[0] ? 1 : 0
    return { chosen, problem, start: starts[best], worth: worths[best] }
  }
  const beginnings = [
    ...(shares ? [] : [chooseLevels(useful, count).map((i) => useful[i].place)]),
    ...(wanted ? [wanted.map(nearest)] : []),
  ].map(begin)
  const { chosen, problem, start } = beginnings.reduce((best, one) => (one.worth > best.worth ? one : best))
  const different = (levels: readonly Subnet[]): Subnet[] =>
    levels.filter((level, k) => k === 0 || bytesOf(groups, level) > bytesOf(groups, levels[k - 1]))
  const frontier = (levels: readonly Subnet[]): Frontier => ({
    joules: levels.map(joulesOf),
    scores: options.measure(levels),
  })
  const first = different(problem.subnets(start))
  const last = search ? different(problem.subnets(search(problem, start))) : first
  const begun = frontier(first)
  return {
    ...measured(places, subnets, options),
    places: chosen,
    begun,
    ended: last === first ? begun : frontier(last),
    subnets: last,
  }
}

/** Measures levels that are settled, from the smallest to the full network. */
export function keepSubnets(subnets: readonly Subnet[], options: Yardstick): LevelChoice {
  const fromFull = subnets.toReversed()
  const places = [...fromFull.keys()]
  const { points, scores } = measured(places, fromFull, options)
  const begun = { joules: points.map(({ joules }) => joules).reverse(), scores: scores.toReversed() }
  return { points, scores, places: places.toReversed(), begun, ended: begun, subnets }
}

/** Some of a chain's sub-networks (place 0 is the full one) as points. */
function measured(
  places: readonly number[],
  subnets: readonly Subnet[],
  { groups, joulesOf, measure, heldOutTokens }: Yardstick,
): Pick<LevelChoice, 'points' | 'scores'> {
  const scores = measure(places.map((place) => subnets[place]))
  const points = places.map((place, i): ChainPoint => {
    // The full network differs from itself by rounding only.
    const loss = place === 0 ? 0 : Math.max(0, scores[i].kl.reduce((a, b) => a + b, 0) / heldOutTokens)
    return { place, share: bytesOf(groups, subnets[place]) / groups.bytes, joules: joulesOf(subnets[place]), loss }
  })
  return { points, scores }
}

/** Losses of links made to add up to what was measured between two points; where they say nothing, all alike. */
function rescaled(links: readonly Link[], points: readonly (Point & { readonly place: number })[]): Link[] {
  let reached = 0
  return points.slice(1).flatMap((point, i) => {
    const part = links.slice(points[i].place, point.place)
    const rise = Math.max(0, point.loss - reached)
    reached = Math.max(reached, point.loss)
    const known = part.map(({ loss }) => Math.max(0, loss))
    const total = known.reduce((a, b) => a + b, 0)
    return part.map((link, j) => ({ ...link, loss: rise * (total > 0 ? known[j] / total : 1 / part.length) }))
  })
}
