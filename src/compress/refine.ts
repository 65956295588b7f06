import type { Point } from './frontier.ts'
import { type Counts, type GateProblem, moved } from './gates.ts'
import type { Subnet } from './groups.ts'

/** Changes that are measured at a time, for each lane and in all, and how often. */
const [perLane, atOnce, mostRounds] = [6, 48, 12]

interface Change {
  readonly lane: number
  readonly counts: readonly number[]
}

/**
 * Improves levels by measuring: losses of groups do not add up, least of all when a gate keeps a layer from following the
 * chain. In each round the changes of one lane that adding up thinks best are measured, then the best of different lanes
 * together, and whatever is worth most is kept; after two rounds in vain it ends.
 */
export function refine(
  problem: GateProblem,
  start: Counts,
  measure: (subnets: readonly Subnet[]) => ArrayLike<number>,
): Counts {
  const { lanes, candidates, totals, worth, subnets } = problem
  const known = new Map<string, number>()
  const key = (subnet: Subnet): string => Buffer.from(subnet).toString('latin1')
  /** Worths of whole choices, all sub-networks that are new measured in one batch. */
  const measured = (choices: readonly Counts[]): { worth: number; points: Point[] }[] => {
    const levels = choices.map((counts) => subnets(counts))
    const missing = new Map(levels.flat().flatMap((subnet) => (known.has(key(subnet)) ? [] : [[key(subnet), subnet]])))
    const losses = missing.size === 0 ? [] : measure([...missing.values()])
    for (const [i, name] of [...missing.keys()].entries()) known.set(name, Math.max(0, losses[i]))
    return choices.map((counts, c) => {
      const points = totals(counts).map(({ joules }, k) => ({ joules, loss: known.get(key(levels[c][k])) ?? 0 }))
      return { worth: worth(points), points }
    })
  }
  let counts = start
  let [best] = measured([start])
  const tried = new Set<string>()
  for (let round = 0, vain = 0; round < mostRounds && vain < 2; round++) {
    const promising = lanes.flatMap((lane, i) => {
      const guess = (c: readonly number[]): number =>
        worth(best.points.map((point, k) => moved(point, lane, counts[i][k], c[k])))
      const fresh = candidates[i].filter((c) => c.join() !== counts[i].join() && !tried.has(`${i} ${c}`))
      return fresh
        .map((c) => ({ lane: i, counts: c, guess: guess(c) }))
        .sort((a, b) => b.guess - a.guess)
        .slice(0, perLane)
    })
    const changes: Change[] = promising.sort((a, b) => b.guess - a.guess).slice(0, atOnce)
    if (changes.length === 0) break
    for (const change of changes) tried.add(`${change.lane} ${change.counts}`)
    const found = measured(changes.map((change) => changed(counts, [change])))
    const better = [...changes.keys()]
      .filter((i) => found[i].worth > best.worth)
      .sort((a, b) => found[b].worth - found[a].worth)
    const single = better.filter((i, at) => better.findIndex((j) => changes[j].lane === changes[i].lane) === at)
    const together = single.map((_, n) =>
      changed(
        counts,
        single.slice(0, n + 1).map((i) => changes[i]),
      ),
    )
    const results = measured(together)
    const winner = results.reduce((most, result, i) => (result.worth > (results[most]?.worth ?? 0) ? i : most), 0)
    if (results.length === 0 || results[winner].worth <= best.worth + 1e-6) vain++
    else {
      counts = together[winner]
      best = results[winner]
      tried.clear()
      vain = 0
    }
  }
  return counts
}

const changed = (counts: Counts, changes: readonly Change[]): Counts =>
  counts.map((own, lane) => changes.find((change) => change.lane === lane)?.counts ?? own)
