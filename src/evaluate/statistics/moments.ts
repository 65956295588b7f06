export type Numbers = readonly number[] | Float64Array

export function mean(values: Numbers): number {
  let sum = 0
  for (const value of values) sum += value
  return sum / values.length
}

/** Unbiased: divided by n − 1. */
export function variance(values: Numbers): number {
  const centre = mean(values)
  let sum = 0
  for (const value of values) sum += (value - centre) ** 2
  return sum / (values.length - 1)
}

/** An estimate and the interval that covers the truth in 95 of 100 repetitions. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

export const mapEstimate = ({ value, low, high }: Estimate, f: (x: number) => number): Estimate => {
  const [a, b] = [f(low), f(high)]
  return { value: f(value), low: Math.min(a, b), high: Math.max(a, b) }
}
