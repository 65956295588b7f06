/** Two-sided 95 % of a normal distribution. */
const z95 = 1.96

/** Mean with its 95 % interval from the deviation of the values. */
export function meanWithInterval(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1)
  const half = z95 * Math.sqrt(square / values.length)
  return { mean, low: mean - half, high: mean + half }
}

/** A share with Wilson's 95 % interval, which stays honest at 0 and 1. */
export function shareWithInterval(hits: number, count: number) {
  const share = hits / count
  const spread = z95 ** 2 / count
  const centre = (share + spread / 2) / (1 + spread)
  const half = (z95 * Math.sqrt((share * (1 - share)) / count + spread / (4 * count))) / (1 + spread)
  return { share, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
}
