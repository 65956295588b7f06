/** A point to be had: both are better when smaller. */
export interface Point {
  readonly energy: number
  readonly error: number
}

/** Indices of the points that no other beats, cheapest first; of equal points the first stays. */
export function nonDominated(points: readonly Point[]): number[] {
  const order = points.map((_, i) => i)
  order.sort((a, b) => points[a].energy - points[b].energy || points[a].error - points[b].error || a - b)
  let least = Number.POSITIVE_INFINITY
  return order.filter((i) => {
    if (!(points[i].error < least)) return false
    least = points[i].error
    return true
  })
}

/**
 * Share of the rectangle from the origin `from` to the reference corner `to` that the points dominate: 0 when none is better
 * than the corner, 1 when the origin can be had.
 */
export function hypervolume(points: readonly Point[], to: Point, from: Point = { energy: 0, error: 0 }): number {
  const inside = points.filter(({ energy, error }) => energy < to.energy && error < to.error)
  let area = 0
  let ceiling = to.error
  for (const i of nonDominated(inside)) {
    const error = Math.max(from.error, inside[i].error)
    area += (to.energy - Math.max(from.energy, inside[i].energy)) * (ceiling - error)
    ceiling = error
  }
  return area / ((to.energy - from.energy) * (to.error - from.error))
}

/** The factor by which every energy and error of `a` must be multiplied so that it beats or equals all of `b` (Zitzler 2003). */
export function epsilonIndicator(a: readonly Point[], b: readonly Point[]): number {
  return Math.max(
    ...b.map((other) => Math.min(...a.map((own) => Math.max(own.energy / other.energy, own.error / other.error)))),
  )
}

/** Energy at which a piecewise linear frontier reaches an error; null where it never does. */
export function energyAt(points: readonly Point[], error: number): number | null {
  const front = nonDominated(points).map((i) => points[i])
  const first = front[0]
  if (first === undefined || front[front.length - 1].error > error) return null
  if (first.error <= error) return first.energy
  const at = front.findIndex((point) => point.error <= error)
  const [worse, better] = [front[at - 1], front[at]]
  const part = (worse.error - error) / (worse.error - better.error)
  return worse.energy + part * (better.energy - worse.energy)
}
