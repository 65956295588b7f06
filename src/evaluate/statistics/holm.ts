/** Holm's step-down (1979): p values that stay honest when many are looked at. In the order given. */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((p, i) => ({ p, i })).sort((a, b) => a.p - b.p)
  const adjusted = new Array<number>(ps.length)
  let most = 0
  for (const [rank, { p, i }] of order.entries()) {
    most = Math.max(most, Math.min(1, (ps.length - rank) * p))
    adjusted[i] = most
  }
  return adjusted
}
