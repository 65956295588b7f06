import { binomialLower, chiSquareUpper, normalCdf, normalQuantile } from './distributions.ts'
import type { Estimate } from './moments.ts'

/** Two arms on the same prompts: how often only the first was right, only the second, out of how many. */
export interface Discordance {
  readonly onlyFirst: number
  readonly onlySecond: number
  readonly n: number
}

export function discordance(first: Uint8Array, second: Uint8Array): Discordance {
  let [onlyFirst, onlySecond] = [0, 0]
  for (let i = 0; i < first.length; i++) {
    if (first[i] && !second[i]) onlyFirst++
    if (second[i] && !first[i]) onlySecond++
  }
  return { onlyFirst, onlySecond, n: first.length }
}

/** McNemar's test, exact: under no difference, each discordant pair falls either way with one half. */
export function mcnemar({ onlyFirst, onlySecond }: Discordance): number {
  const all = onlyFirst + onlySecond
  return all === 0 ? 1 : Math.min(1, 2 * binomialLower(Math.min(onlyFirst, onlySecond), all, 0.5))
}

/**
 * Tango's score statistic for H: first − second = `delta` (Tango, Statistics in Medicine 17, 1998, p. 891–908): the
 * difference over its deviation, with the probabilities of the discordant cells at their most likely under H.
 */
export function tangoZ({ onlyFirst, onlySecond, n }: Discordance, delta: number): number {
  const a = 2 * n
  const b = -onlyFirst - onlySecond + (2 * n - onlyFirst + onlySecond) * delta
  const c = -onlySecond * delta * (1 - delta)
  const q = (Math.sqrt(Math.max(0, b * b - 4 * a * c)) - b) / (2 * a)
  const variance = n * (2 * q + delta * (1 - delta))
  const distance = onlyFirst - onlySecond - n * delta
  if (variance <= 0) return distance === 0 ? 0 : Math.sign(distance) * Number.POSITIVE_INFINITY
  return distance / Math.sqrt(variance)
}

/** First − second as a share, with Tango's score interval. */
export function tangoInterval(pair: Discordance, confidence = 0.95): Estimate {
  const z = normalQuantile(0.5 + confidence / 2)
  const value = (pair.onlyFirst - pair.onlySecond) / pair.n
  return {
    value,
    low: -1 < value ? bisect((delta) => tangoZ(pair, delta) - z, -1, value) : -1,
    high: value < 1 ? bisect((delta) => tangoZ(pair, delta) + z, value, 1) : 1,
  }
}

/** The z falls with delta; where it never crosses, the end of the range is the bound. */
function bisect(f: (x: number) => number, low: number, high: number): number {
  let [a, b] = [low, high]
  for (let i = 0; i < 60; i++) {
    const middle = (a + b) / 2
    if (f(middle) > 0) a = middle
    else b = middle
  }
  return (a + b) / 2
}

export interface MarginTest {
  readonly marginPoints: number
  /** One-sided: how likely a result this good is, were the loss as large as the margin. */
  readonly p: number
  /** The whole two-sided 95 % interval lies above −margin. */
  readonly passes: boolean
}

/** Is the first at most `marginPoints` worse than the second? One-sided at 2.5 %, which is the 95 % interval's lower end. */
export function nonInferiority(pair: Discordance, marginPoints: number): MarginTest {
  const p = normalCdf(-tangoZ(pair, -marginPoints / 100))
  return { marginPoints, p, passes: p < 0.025 }
}

export interface Equivalence {
  readonly marginPoints: number
  readonly pLower: number
  readonly pUpper: number
  readonly equivalent: boolean
}

/** Two one-sided tests at 5 %: neither worse nor better by the margin (Schuirmann 1987). */
export function equivalence(pair: Discordance, marginPoints: number): Equivalence {
  const pLower = normalCdf(-tangoZ(pair, -marginPoints / 100))
  const pUpper = normalCdf(tangoZ(pair, marginPoints / 100))
  return { marginPoints, pLower, pUpper, equivalent: Math.max(pLower, pUpper) < 0.05 }
}

/** Cochran's Q: are all arms right equally often, on the same prompts? McNemar's test is its case of two. */
export function cochranQ(arms: readonly Uint8Array[]): { readonly q: number; readonly df: number; readonly p: number } {
  const k = arms.length
  const totals = arms.map((arm) => arm.reduce((sum, right) => sum + right, 0))
  const all = totals.reduce((a, b) => a + b, 0)
  let squares = 0
  for (let i = 0; i < arms[0].length; i++) squares += arms.reduce((sum, arm) => sum + arm[i], 0) ** 2
  const spread = totals.reduce((sum, total) => sum + (total - all / k) ** 2, 0)
  const q = k * all === squares ? 0 : (k * (k - 1) * spread) / (k * all - squares)
  return { q, df: k - 1, p: chiSquareUpper(q, k - 1) }
}

/** A proportion with Wilson's score interval (1927), which stays inside 0 to 1 at the ends. */
export function wilson(hits: number, n: number): Estimate {
  const z = normalQuantile(0.975)
  const p = hits / n
  const centre = (p + z ** 2 / (2 * n)) / (1 + z ** 2 / n)
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n ** 2))
  return { value: p, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}
