import { binomialLower, binomialUpper } from '../statistics/distributions.ts'

export interface Tested {
  /** P(so few losses | risk = margin), exact binomial, per point. */
  readonly pValues: readonly number[]
  /** The last point that passed; null when not even the first did. */
  readonly chosen: number | null
}

/**
 * Learn-then-Test (Angelopoulos et al., arXiv 2110.01052) along a fixed sequence: from the safest point on, each hypothesis
 * "its risk is above the margin" is tested at 1 − confidence, and the walk ends at the first that cannot be rejected. No
 * correction for many tests is needed, because none is made after the first failure. Of all calibration splits, at most
 * 1 − confidence choose a point whose risk is above the margin.
 */
export function fixedSequence(losses: readonly number[], n: number, margin: number, confidence: number): Tested {
  const pValues = losses.map((count) => binomialLower(count, n, margin))
  const failed = pValues.findIndex((p) => p > 1 - confidence)
  const passed = failed < 0 ? losses.length : failed
  return { pValues, chosen: passed > 0 ? passed - 1 : null }
}

/** The one-sided upper Clopper–Pearson bound of a rate seen `count` times in `n`. */
export function upperBound(count: number, n: number, confidence: number): number {
  if (count >= n) return 1
  let [low, high] = [count / n, 1]
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2
    if (binomialLower(count, n, middle) > 1 - confidence) low = middle
    else high = middle
  }
  return high
}

/** P(X ≥ k) that a share of `rate` or less would be seen so often: how surprising `k` of `n` failures are. */
export const atLeast = (k: number, n: number, rate: number): number => binomialUpper(k, n, rate)
