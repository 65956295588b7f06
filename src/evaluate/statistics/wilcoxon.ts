import { normalCdf } from './distributions.ts'
import type { Numbers } from './moments.ts'

export interface Wilcoxon {
  /** Sum of the ranks of the positive differences, R's V. */
  readonly v: number
  /** Pairs that differ. */
  readonly n: number
  /** Two-sided. */
  readonly p: number
  /** Exact below 50 pairs without ties, else normal with the corrections for ties and for continuity, as R does it. */
  readonly method: 'exact' | 'normal'
  /** Matched-pairs rank-biserial correlation, −1 to 1. */
  readonly r: number
}

/** Wilcoxon's signed-rank test; pairs without a difference are left out (Wilcoxon 1945). */
export function wilcoxon(differences: Numbers): Wilcoxon {
  const rows = Array.from(differences)
    .filter((d) => d !== 0)
    .sort((a, b) => Math.abs(a) - Math.abs(b))
  const n = rows.length
  let v = 0
  let tied = 0
  for (let i = 0; i < n; ) {
    let end = i
    while (end < n && Math.abs(rows[end]) === Math.abs(rows[i])) end++
    const rank = (i + 1 + end) / 2
    for (let k = i; k < end; k++) if (rows[k] > 0) v += rank
    tied += (end - i) ** 3 - (end - i)
    i = end
  }
  const total = (n * (n + 1)) / 2
  const r = n === 0 ? 0 : (2 * v - total) / total
  if (n === 0) return { v, n, p: 1, method: 'exact', r }
  if (n < 50 && tied === 0) return { v, n, p: exact(v, n), method: 'exact', r }
  const distance = v - total / 2
  const deviation = Math.sqrt((n * (n + 1) * (2 * n + 1)) / 24 - tied / 48)
  const z = (distance - 0.5 * Math.sign(distance)) / deviation
  return { v, n, p: Math.min(1, 2 * normalCdf(-Math.abs(z))), method: 'normal', r }
}

/** Counts the subsets of the ranks 1 to n that have each sum. */
function exact(v: number, n: number): number {
  const most = (n * (n + 1)) / 2
  const ways = new Float64Array(most + 1)
  ways[0] = 1
  for (let rank = 1; rank <= n; rank++) for (let sum = most; sum >= rank; sum--) ways[sum] += ways[sum - rank]
  const low = Math.min(v, most - v)
  let below = 0
  for (let sum = 0; sum <= low; sum++) below += ways[sum]
  return Math.min(1, (2 * below) / 2 ** n)
}
