import { hypervolume, type Point } from './frontier.ts'
import type { Yardstick } from './judge.ts'
import type { LevelScore } from './measure.ts'
import type { Pruned } from './prune.ts'
import { seededDraws } from './random.ts'
import type { Method } from './rivals.ts'

/** A figure with the 95 % interval of its bootstrap. */
export interface Interval {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** A method's frontier: the scores of its points on texts that all contenders share, the full network last. */
export interface Contender {
  readonly method: Method
  /** Per decoded token, rising. */
  readonly joules: readonly number[]
  readonly scores: readonly LevelScore[]
  /** Scored tokens of each text. */
  readonly tokens: readonly number[]
}

type Measured = Pick<Pruned, 'manifest' | 'choice' | 'scores' | 'tokens'>

/** The levels of a package, as the engine runs them. */
export const byLevels = (method: Method, { manifest, scores, tokens }: Measured): Contender => ({
  method,
  joules: manifest.energy_priors?.joules_per_token ?? [],
  scores,
  tokens,
})

/** The order inside the gates: levels as they were before the search, measured like the chain. */
export const byGates = (method: Method, { choice: { begun }, tokens }: Measured): Contender => ({
  method,
  ...begun,
  tokens,
})

/** The same after the search. */
export const bySearch = (method: Method, { choice: { ended }, tokens }: Measured): Contender => ({
  method,
  ...ended,
  tokens,
})

/** The order alone: points of the chain, before levels are chosen and gates fitted. */
export const byChain = (method: Method, { choice, tokens }: Measured): Contender => ({
  method,
  joules: choice.points.map(({ joules }) => joules).reverse(),
  scores: [...choice.scores].reverse(),
  tokens,
})

export interface Comparison {
  readonly method: Method
  readonly hypervolume: Interval
  /** The first method's hypervolume over this one's, less one. */
  readonly lead: Interval
}

const resamples = 2000

/**
 * Hypervolumes of frontiers of the same model by one yardstick, and the lead of the first over each, with percentile intervals
 * of a paired bootstrap over the held-out texts. Joules up to 1.1 times the full network's count (deap.md §6.2).
 */
export function compare(contenders: readonly Contender[], yardstick: Yardstick, seed: number): Comparison[] {
  const texts = contenders[0].tokens.length
  const draws = seededDraws(texts, seed)
  const all = Array.from({ length: texts }, (_, i) => i)
  const volumes = (picked: ArrayLike<number>): number[] => contenders.map((one) => volume(one, yardstick, picked))
  const seen = volumes(all)
  const drawn = Array.from({ length: resamples }, () => volumes(draws()))
  return contenders.map(({ method }, i) => ({
    method,
    hypervolume: { value: seen[i], ...interval(drawn.map((one) => one[i])) },
    lead: { value: seen[0] / seen[i] - 1, ...interval(drawn.map((one) => one[0] / one[i] - 1)) },
  }))
}

function volume({ joules, scores, tokens }: Contender, { name, margin }: Yardstick, picked: ArrayLike<number>): number {
  const loss = (level: number): number => {
    let [sum, count] = [0, 0]
    for (let i = 0; i < picked.length; i++) {
      sum += name === 'kl' ? scores[level].kl[picked[i]] : 1 - scores[level].right[picked[i]]
      count += name === 'kl' ? tokens[picked[i]] : 1
    }
    return sum / count
  }
  const full = joules.length - 1
  const base = loss(full)
  const points = joules.map(
    (value, level): Point => ({ joules: value / joules[full], loss: Math.max(0, loss(level) - base) }),
  )
  return hypervolume(points, { joules: 1.1, loss: margin })
}

function interval(values: readonly number[]): { low: number; high: number } {
  const sorted = [...values].sort((a, b) => a - b)
  return { low: sorted[Math.floor(0.025 * sorted.length)], high: sorted[Math.ceil(0.975 * sorted.length) - 1] }
}
