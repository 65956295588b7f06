/** A sub-network as the choice of levels sees it. */
export interface Point {
  /** Joules per decoded token. */
  readonly joules: number
  /** Mean divergence from the full network, or any other loss that is 0 for it. */
  readonly loss: number
}

/** Places of the points that no other beats in joules and loss, by rising joules. */
export function nondominated(points: readonly Point[]): number[] {
  const order = [...points.keys()].sort(
    (a, b) => points[a].joules - points[b].joules || points[a].loss - points[b].loss,
  )
  let least = Number.POSITIVE_INFINITY
  return order.filter((i) => {
    if (points[i].loss >= least) return false
    least = points[i].loss
    return true
  })
}

/**
 * The area that points dominate up to a reference point, as a share of the reference's whole rectangle (Zitzler and Thiele
 * 1998): of two frontiers the one with more is better wherever they differ. Points beyond the reference count nothing.
 */
export function hypervolume(points: readonly Point[], reference: Point): number {
  const inside = points.filter(({ joules, loss }) => joules < reference.joules && loss < reference.loss)
  const front = nondominated(inside).map((i) => inside[i])
  const area = front.reduce((sum, { joules, loss }, i) => {
    const next = front[i + 1]?.joules ?? reference.joules
    return sum + (next - joules) * (reference.loss - loss)
  }, 0)
  return area / (reference.joules * reference.loss)
}

/** Smallest step between neighbouring levels, as a share of the larger one's joules. */
export const spacing = 0.08

/**
 * Chooses at most `count` points, the first and the last among them, so that their hypervolume is largest and each has at
 * least `spacing` fewer joules than the next: dynamic programming over the points by rising joules, dominated ones dropped.
 * Returns places in `points`, by rising joules.
 */
export function chooseLevels(points: readonly Point[], count: number): number[] {
  const front = nondominated(points)
  const last = front.length - 1
  const at = (i: number): Point => points[front[i]]
  const reference = { joules: at(last).joules, loss: at(0).loss }
  // best[k][i]: the largest area left of i with k points chosen, i the last of them.
  const best: number[][] = [front.map((_, i) => (i === 0 ? 0 : Number.NEGATIVE_INFINITY))]
  const from: number[][] = [front.map(() => -1)]
  for (let k = 1; k < count; k++) {
    best.push(front.map(() => Number.NEGATIVE_INFINITY))
    from.push(front.map(() => -1))
    for (let i = 1; i <= last; i++) {
      for (let j = 0; j < i; j++) {
        if (at(j).joules > (1 - spacing) * at(i).joules) continue
        const area = best[k - 1][j] + (at(i).joules - at(j).joules) * (reference.loss - at(j).loss)
        if (area > best[k][i]) {
          best[k][i] = area
          from[k][i] = j
        }
      }
    }
  }
  const chosen = [last]
  let k = best.reduce((most, row, i) => (row[last] > best[most][last] ? i : most), 0)
  if (best[k][last] === Number.NEGATIVE_INFINITY) return [front[last]]
  for (let i = last; k > 0; k--) {
    i = from[k][i]
    chosen.unshift(i)
  }
  return chosen.map((i) => front[i])
}
