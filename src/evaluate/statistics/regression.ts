import { tQuantile, tTwoSided } from './distributions.ts'
import { type Estimate, mapEstimate, mean } from './moments.ts'

type Point = readonly [x: number, y: number]

export interface LineFit {
  readonly intercept: number
  readonly slope: number
  /** Pearson's correlation; NaN when all x or all y are the same. */
  readonly r: number
}

/** Least squares y = intercept + slope·x over at least two different x. */
export function fitLine(points: readonly Point[]): LineFit {
  const { mx, my, xx, yy, xy } = sums(points)
  const slope = xy / xx
  return { intercept: my - slope * mx, slope, r: xy / Math.sqrt(xx * yy) }
}

export interface Regression {
  readonly intercept: Estimate
  readonly slope: Estimate
  readonly r: number
  /** Share of the variance that the line explains. */
  readonly r2: number
  /** Two-sided, of a slope of zero. */
  readonly p: number
  readonly n: number
}

/** The line with 95 % intervals; they are NaN over two points, which a line always meets. */
export function regress(points: readonly Point[]): Regression {
  const { mx, xx, yy } = sums(points)
  const { intercept, slope, r } = fitLine(points)
  const [n, df] = [points.length, points.length - 2]
  const residual = points.reduce((sum, [x, y]) => sum + (y - intercept - slope * x) ** 2, 0)
  const deviation = df > 0 ? Math.sqrt(residual / df) : Number.NaN
  const factor = df > 0 ? tQuantile(0.975, df) : Number.NaN
  const around = (value: number, error: number): Estimate => ({
    value,
    low: value - factor * error,
    high: value + factor * error,
  })
  const slopeError = deviation / Math.sqrt(xx)
  return {
    intercept: around(intercept, deviation * Math.sqrt(1 / n + mx ** 2 / xx)),
    slope: around(slope, slopeError),
    r,
    r2: yy === 0 ? Number.NaN : 1 - residual / yy,
    p: df > 0 ? tTwoSided(slope / slopeError, df) : Number.NaN,
    n,
  }
}

export interface PowerLaw {
  /** y = factor · x^exponent. */
  readonly exponent: Estimate
  readonly factor: Estimate
  readonly r2: number
}

/** Fitted as a line through the logarithms, so errors count as shares; every x and y above zero. */
export function powerLaw(points: readonly Point[]): PowerLaw {
  const line = regress(points.map(([x, y]) => [Math.log(x), Math.log(y)]))
  return { exponent: line.slope, factor: mapEstimate(line.intercept, Math.exp), r2: line.r2 }
}

function sums(points: readonly Point[]) {
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  let [xx, yy, xy] = [0, 0, 0]
  for (const [x, y] of points) {
    xx += (x - mx) ** 2
    yy += (y - my) ** 2
    xy += (x - mx) * (y - my)
  }
  if (!(xx > 0)) throw new RangeError('a line through points with one x')
  return { mx, my, xx, yy, xy }
}
