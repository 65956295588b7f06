/** The value below which the share `q` (0 to 1) of the values lies, interpolated; throws on none. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('a quantile of no values')
  const sorted = [...values].sort((a, b) => a - b)
  const at = q * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.ceil(at)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** The middle and the middle half of repeated measurements: what a shared machine allows to be said. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
  readonly n: number
}

export const spread = (values: readonly number[]): Spread => ({
  median: median(values),
  low: quantile(values, 0.25),
  high: quantile(values, 0.75),
  n: values.length,
})

export interface LineFit {
  readonly intercept: number
  readonly slope: number
  /** Pearson's correlation; NaN when all x or all y are the same. */
  readonly r: number
}

/** Least squares y = intercept + slope·x over at least two different x. */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): LineFit {
  const mean = (index: 0 | 1): number => points.reduce((sum, point) => sum + point[index], 0) / points.length
  const [mx, my] = [mean(0), mean(1)]
  const sum = (f: (dx: number, dy: number) => number): number => points.reduce((s, [x, y]) => s + f(x - mx, y - my), 0)
  const [xx, yy, xy] = [sum((dx) => dx * dx), sum((_, dy) => dy * dy), sum((dx, dy) => dx * dy)]
  if (xx === 0) throw new RangeError('a line through points with one x')
  const slope = xy / xx
  return { intercept: my - slope * mx, slope, r: xy / Math.sqrt(xx * yy) }
}
