import { bdtr, bdtrc, chdtrc, compiled, incbet, incbi, ndtr, ndtri } from 'cephes'

// Moshier's Cephes in WebAssembly: one package, nothing under it, good to 1e-9 at the millions of degrees of freedom
// that an analysis of variance over 10,000 prompts has (test/statistics.test.ts).
await compiled

export const normalCdf = (z: number): number => (Math.abs(z) === Number.POSITIVE_INFINITY ? Number(z > 0) : ndtr(z))
export const normalQuantile = (p: number): number => ndtri(p)

/** Probability of a |t| at least this large; `df` may be a fraction, as Welch's are. */
export const tTwoSided = (t: number, df: number): number =>
  Number.isFinite(t) ? incbet(df / 2, 0.5, df / (df + t * t)) : Number.isNaN(t) ? t : 0

/** For p above one half: the upper end of an interval. */
export function tQuantile(p: number, df: number): number {
  const x = incbi(df / 2, 0.5, 2 * (1 - p))
  return Math.sqrt((df * (1 - x)) / x)
}

/** Probability of a larger F; the degrees of freedom may be fractions, as a Greenhouse–Geisser correction makes them. */
export const fUpper = (f: number, df1: number, df2: number): number =>
  f <= 0 ? 1 : incbet(df2 / 2, df1 / 2, df2 / (df2 + df1 * f))

/** Cephes throws where the tail is smaller than any number; that is zero. */
export function chiSquareUpper(x: number, df: number): number {
  if (x <= 0) return 1
  try {
    return chdtrc(df, x)
  } catch (error) {
    if (String(error).includes('underflow')) return 0
    throw error
  }
}

/** P(X ≤ k) of n draws with probability p. */
export const binomialLower = (k: number, n: number, p: number): number => (k < 0 ? 0 : k >= n ? 1 : bdtr(k, n, p))
/** P(X ≥ k). */
export const binomialUpper = (k: number, n: number, p: number): number => (k <= 0 ? 1 : k > n ? 0 : bdtrc(k - 1, n, p))
