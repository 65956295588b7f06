import type { Totals } from './passes.ts'

/** One loss, up to where it counts: beyond, a network is of no use however little it takes. */
export interface Yardstick {
  readonly name: 'kl' | 'error'
  readonly unit: string
  /** Above the full network's. */
  readonly margin: number
}

/** deap.md §6.2: errors up to 10 points above the full network's; and half a nat, where about a third of the choices differ. */
export const yardsticks: readonly [kl: Yardstick, error: Yardstick] = [
  { name: 'kl', unit: 'nats of KL a token', margin: 0.5 },
  { name: 'error', unit: 'share of wrong answers', margin: 0.1 },
]

/** What losses are held against: the texts, and how many of them the full network answers rightly. */
export interface Full {
  readonly right: number
  readonly texts: number
  readonly tokens: number
}

/**
 * How much of the full network's use is lost: 0 for itself, 1 where nothing is left. It is the mean over the yardsticks of the
 * excess as a share of the margin; texts without answers, or that the full network never answers, have only the first. Beyond
 * a margin it rises slowly: such a level counts nothing, yet of two the better one should win.
 */
export function useLost(found: Totals, full: Full): Float64Array {
  const [kl, error] = yardsticks
  return found.kl.map((sum, i) => {
    const excess = [sum / full.tokens / kl.margin]
    if (full.right > 0) excess.push((full.right - found.right[i]) / full.texts / error.margin)
    return excess.reduce((sum, share) => sum + bent(Math.max(0, share)), 0) / excess.length
  })
}

const bent = (share: number): number => (share <= 1 ? share : 1 + beyond * Math.log(share))
const beyond = 0.1
