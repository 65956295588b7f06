/** A few unknown multipliers: their most likely values and their covariance, row by row. */
export interface Estimate {
  readonly mean: readonly number[]
  readonly covariance: readonly number[]
}

/** The most likely value of `features · multipliers`. */
export function expected({ mean }: Estimate, features: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < mean.length; i += 1) sum += features[i] * mean[i]
  return sum
}

/** The variance of `features · multipliers`, without the noise of a measurement. */
export function variance({ covariance }: Estimate, features: readonly number[]): number {
  const n = features.length
  let sum = 0
  for (let i = 0; i < n; i += 1) {
    if (features[i] === 0) continue
    for (let j = 0; j < n; j += 1) sum += features[i] * covariance[i * n + j] * features[j]
  }
  return Math.max(0, sum)
}

/** Takes in one measurement of `features · multipliers` with this variance (Kalman's update). */
export function learn(
  estimate: Estimate,
  features: readonly number[],
  measured: number,
  noise: number,
  bounds: { readonly least: number; readonly most: number; readonly doubt: number },
): Estimate {
  const n = features.length
  const { mean, covariance } = estimate
  const cross = features.map((_, i) => {
    let sum = 0
    for (let j = 0; j < n; j += 1) sum += covariance[i * n + j] * features[j]
    return sum
  })
  const spread = noise + features.reduce((sum, feature, i) => sum + feature * cross[i], 0)
  const error = measured - expected(estimate, features)
  const wanted = mean.map((value, i) => value + (cross[i] / spread) * error)
  const next = covariance.map((value, at) => value - (cross[Math.floor(at / n)] * cross[at % n]) / spread)
  for (let i = 0; i < n; i += 1) {
    if (wanted[i] >= bounds.least && wanted[i] <= bounds.most) continue
    // Held at a bound its value is not a finding: what was inferred from it is given up.
    wanted[i] = Math.min(bounds.most, Math.max(bounds.least, wanted[i]))
    for (let j = 0; j < n; j += 1) {
      next[i * n + j] = i === j ? Math.max(next[i * n + j], bounds.doubt) : 0
      next[j * n + i] = next[i * n + j]
    }
  }
  return { mean: wanted, covariance: next }
}

/** Lets time pass: what was known becomes a little less certain, never less than before anything was known. */
export function forget(estimate: Estimate, seconds: number, perSecond: readonly number[], prior: Estimate): Estimate {
  const n = perSecond.length
  const covariance = [...estimate.covariance]
  for (let i = 0; i < n; i += 1) {
    const at = i * n + i
    covariance[at] = Math.max(covariance[at], Math.min(prior.covariance[at], covariance[at] + perSecond[i] * seconds))
  }
  return { mean: estimate.mean, covariance }
}
