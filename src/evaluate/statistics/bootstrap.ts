import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { normalCdf, normalQuantile } from './distributions.ts'
import { type Estimate, mean, type Numbers } from './moments.ts'
import { quantile } from './quantiles.ts'

/** A statistic of the means of columns: a ratio of totals, joules per correct answer, a hypervolume. */
export type OfMeans = (means: readonly number[]) => number

export interface Bootstrap {
  readonly columns: readonly Numbers[]
  readonly resamples: number
  readonly seed: number
}

/**
 * Draws rows (prompts) with replacement and keeps the means of all columns of every draw, so that many statistics can be
 * taken from the same draws. Rows stay whole: what is paired stays paired.
 */
export function resampledMeans({ columns, resamples, seed }: Bootstrap): number[][] {
  const n = columns[0].length
  const generator = xoroshiro128plus(seed)
  const times = new Float64Array(n)
  return Array.from({ length: resamples }, () => {
    times.fill(0)
    for (let i = 0; i < n; i++) times[uniformInt(generator, 0, n - 1)]++
    return columns.map((column) => {
      let sum = 0
      for (let i = 0; i < n; i++) sum += times[i] * column[i]
      return sum / n
    })
  })
}

/**
 * The bias-corrected and accelerated interval (Efron 1987) of a statistic of the columns' means at 95 %. The acceleration
 * comes from leaving out each row in turn.
 */
export function bcaInterval(columns: readonly Numbers[], draws: readonly (readonly number[])[], f: OfMeans): Estimate {
  const n = columns[0].length
  const means = columns.map(mean)
  const value = f(means)
  const replicas = draws.map(f)
  const below = replicas.filter((replica) => replica < value).length
  const equal = replicas.filter((replica) => replica === value).length
  const bias = normalQuantile(clamp((below + equal / 2) / replicas.length, 0.5 / replicas.length))
  const without: number[] = []
  for (let i = 0; i < n; i++) without.push(f(means.map((m, c) => (m * n - columns[c][i]) / (n - 1))))
  const centre = mean(without)
  let [squares, cubes] = [0, 0]
  for (const each of without) {
    squares += (centre - each) ** 2
    cubes += (centre - each) ** 3
  }
  const acceleration = squares > 0 ? cubes / (6 * squares ** 1.5) : 0
  const bound = (p: number): number => {
    const z = bias + normalQuantile(p)
    return quantile(replicas, normalCdf(bias + z / (1 - acceleration * z)))
  }
  return { value, low: bound(0.025), high: bound(0.975) }
}

const clamp = (p: number, edge: number): number => Math.min(1 - edge, Math.max(edge, p))

/** Draws and interval at once, for one statistic. */
export const bca = (bootstrap: Bootstrap, f: OfMeans): Estimate =>
  bcaInterval(bootstrap.columns, resampledMeans(bootstrap), f)
