import type { RouteLimits } from '../../models/routing.ts'

/** What one way of routing cost and lost on the same prompts. */
export interface Outcome {
  readonly losses: number
  /** Weight bytes read over those of the full network. */
  readonly cost: number
}

export interface Policy extends RouteLimits, Outcome {}

/** Answers that start at a given level with a given limit of doubt: per prompt, what was lost and read. */
export interface Started {
  readonly start: number
  readonly doubt: number
  readonly lost: Uint8Array
  readonly read: Float64Array
}

/**
 * Every pair of limits, evaluated without running the model again: where an answer starts follows from its estimated risks,
 * and what becomes of it from there was run for every start and every limit of doubt. `dense` is what the full network reads.
 */
export function evaluate(
  started: readonly Started[],
  risks: readonly (readonly number[])[],
  dense: Float64Array,
  limits: readonly number[],
): Policy[] {
  const total = dense.reduce((a, b) => a + b, 0)
  const doubts = [...new Set(started.map(({ doubt }) => doubt))]
  return doubts.flatMap((doubt) => {
    const at = new Map(started.filter((run) => run.doubt === doubt).map((run) => [run.start, run]))
    return limits.map((risk): Policy => {
      let [losses, read] = [0, 0]
      for (const [i, ofPrompt] of risks.entries()) {
        const run = at.get(ofPrompt.findIndex((value) => value <= risk))
        losses += run?.lost[i] ?? 0
        read += run?.read[i] ?? dense[i]
      }
      return { risk, doubt, losses, cost: read / total }
    })
  })
}

/**
 * Policies of which no other loses as little for less, from the safest to the greediest; this order, taken from the fitting half, is
 * what is then tested (Pareto testing: Laufer-Goldshtein et al., ICLR 2023). At most `count`, evenly spread over their
 * cost, up to the first that loses more than `mostLosses`.
 */
export function frontier(policies: readonly Policy[], mostLosses: number, count: number): Policy[] {
  const front: Policy[] = []
  for (const policy of policies.toSorted((a, b) => a.cost - b.cost || a.losses - b.losses)) {
    if (policy.losses < (front.at(-1)?.losses ?? Number.POSITIVE_INFINITY)) front.push(policy)
  }
  front.reverse()
  const useful = front.slice(0, front.findLastIndex(({ losses }) => losses <= mostLosses) + 2)
  if (useful.length <= count) return useful
  const [dearest, cheapest] = [useful[0].cost, useful[useful.length - 1].cost]
  const picked = Array.from({ length: count }, (_, k) => dearest + ((cheapest - dearest) * k) / (count - 1))
  return [
    ...new Set(
      picked.map((cost) => useful.reduce((a, b) => (Math.abs(b.cost - cost) < Math.abs(a.cost - cost) ? b : a))),
    ),
  ]
}

/** The policy that never leaves the full network: no estimate is at most nothing, and it is never doubted. */
export const fullOnly: RouteLimits = { risk: 0, doubt: 0 }
