import { tQuantile, tTwoSided } from './distributions.ts'
import { type Estimate, mapEstimate, mean, type Numbers, variance } from './moments.ts'

export interface TTest {
  /** Mean of the differences with its 95 % interval. */
  readonly difference: Estimate
  readonly t: number
  readonly df: number
  /** Two-sided. */
  readonly p: number
  /** Cohen's d of paired values: mean difference over the deviation of the differences. */
  readonly dz: number
  readonly n: number
}

/** Student's t on differences that come in pairs. Where all are zero nothing was found: t = 0, p = 1; where all are the same, t is infinite. */
export function pairedT(differences: Numbers): TTest {
  const n = differences.length
  const value = mean(differences)
  const deviation = Math.sqrt(variance(differences))
  const error = deviation / Math.sqrt(n)
  const t = studentised(value, error)
  const half = tQuantile(0.975, n - 1) * error
  return {
    difference: { value, low: value - half, high: value + half },
    t,
    df: n - 1,
    p: tTwoSided(t, n - 1),
    dz: studentised(value, deviation),
    n,
  }
}

export interface RatioTest extends TTest {
  /** Geometric mean of b/a with its 95 % interval. */
  readonly ratio: Estimate
  /** Pairs without a logarithm, which are not in the test: one of the two is zero. */
  readonly leftOut: number
}

/** The paired test on ln a − ln b: ratios, so that long answers do not count more than short ones. */
export function pairedLogT(a: Numbers, b: Numbers): RatioTest {
  const logs: number[] = []
  for (let i = 0; i < a.length; i++) if (a[i] > 0 && b[i] > 0) logs.push(Math.log(a[i]) - Math.log(b[i]))
  const test = pairedT(logs)
  return { ...test, ratio: mapEstimate(test.difference, (d) => Math.exp(-d)), leftOut: a.length - logs.length }
}

export const differences = (a: Numbers, b: Numbers): Float64Array => Float64Array.from(a, (value, i) => value - b[i])

export interface WelchTest {
  readonly difference: Estimate
  readonly t: number
  readonly df: number
  readonly p: number
}

/** Welch's t: two independent groups whose deviations differ. */
export function welchT(a: Numbers, b: Numbers): WelchTest {
  const [va, vb] = [variance(a) / a.length, variance(b) / b.length]
  const error = Math.sqrt(va + vb)
  const df = (va + vb) ** 2 / (va ** 2 / (a.length - 1) + vb ** 2 / (b.length - 1))
  const value = mean(a) - mean(b)
  if (error === 0) return { difference: { value, low: value, high: value }, ...constant(value) }
  const half = tQuantile(0.975, df) * error
  const t = value / error
  return { difference: { value, low: value - half, high: value + half }, t, df, p: tTwoSided(t, df) }
}

/** Two groups that do not vary: the same, or different beyond doubt. */
const constant = (value: number): { t: number; df: number; p: number } =>
  value === 0 ? { t: 0, df: 1, p: 1 } : { t: Math.sign(value) * Number.POSITIVE_INFINITY, df: 1, p: 0 }

/** Below the rounding of the values themselves a deviation is none: the difference is then beyond doubt. */
function studentised(value: number, error: number): number {
  if (value === 0) return 0
  return error < 1e-12 * Math.abs(value) ? Math.sign(value) * Number.POSITIVE_INFINITY : value / error
}
