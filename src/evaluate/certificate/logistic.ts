import { Matrix, solve } from 'ml-matrix'
import type { Logistic } from '../../models/routing.ts'

/** One observation: signals by name, and whether what is estimated happened. */
export interface Observation {
  readonly signals: Readonly<Record<string, number>>
  readonly happened: boolean
}

/** Weight of the penalty on standardised weights, in observations: enough that signals which separate the data stay finite. */
const ridge = 1
const rounds = 50

/**
 * Logistic regression with a ridge penalty, by Newton's method on standardised signals; the weights come back in the
 * signals' own units. Signals that never vary get no weight. With no or only one outcome it is the (smoothed) rate.
 */
export function fitLogistic(observations: readonly Observation[]): Logistic {
  const n = observations.length
  const hits = observations.filter(({ happened }) => happened).length
  const rate = (hits + 0.5) / (n + 1)
  const prior = Math.log(rate / (1 - rate))
  if (n === 0 || hits === 0 || hits === n) return { bias: prior, weights: {} }
  const columns = standardised(observations)
  const size = columns.length + 1
  const rows = observations.map(({ happened }, i) => ({
    happened,
    x: Float64Array.from({ length: size }, (_, c) => (c === 0 ? 1 : columns[c - 1].values[i])),
  }))
  let beta = new Float64Array(size)
  beta[0] = prior
  let cost = penalised(rows, beta)
  for (let round = 0; round < rounds; round++) {
    const step = newtonStep(rows, beta)
    // Far from the optimum a whole Newton step can overshoot: then half of it, until the cost falls.
    let part = 1
    let next = beta
    let nextCost = Number.POSITIVE_INFINITY
    for (; part > 1e-6; part /= 2) {
      next = beta.map((value, a) => value + part * step[a])
      nextCost = penalised(rows, next)
      if (nextCost <= cost) break
    }
    if (!(nextCost < cost - 1e-10 * Math.abs(cost))) break
    beta = next
    cost = nextCost
  }
  const weights = Object.fromEntries(columns.map(({ name, deviation }, c) => [name, beta[c + 1] / deviation]))
  const bias = columns.reduce((sum, { mean, deviation }, c) => sum - (beta[c + 1] * mean) / deviation, beta[0])
  return { bias, weights }
}

interface Row {
  readonly x: Float64Array
  readonly happened: boolean
}

const dot = (x: Float64Array, beta: Float64Array): number => {
  let sum = 0
  for (let a = 0; a < x.length; a++) sum += x[a] * beta[a]
  return sum
}

/** −log likelihood plus the penalty: what the fit makes least. */
function penalised(rows: readonly Row[], beta: Float64Array): number {
  let cost = 0
  for (const { x, happened } of rows) {
    const against = (happened ? -1 : 1) * dot(x, beta)
    // log(1 + e^z) that neither overflows nor loses small values.
    cost += Math.max(0, against) + Math.log1p(Math.exp(-Math.abs(against)))
  }
  for (let a = 1; a < beta.length; a++) cost += (ridge / 2) * beta[a] ** 2
  return cost
}

function newtonStep(rows: readonly Row[], beta: Float64Array): number[] {
  const size = beta.length
  const gradient = new Float64Array(size)
  const hessian = Array.from({ length: size }, () => new Float64Array(size))
  for (const { x, happened } of rows) {
    const p = 1 / (1 + Math.exp(-dot(x, beta)))
    const error = (happened ? 1 : 0) - p
    const weight = Math.max(1e-9, p * (1 - p))
    for (let a = 0; a < size; a++) {
      gradient[a] += error * x[a]
      for (let b = 0; b <= a; b++) hessian[a][b] += weight * x[a] * x[b]
    }
  }
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < a; b++) hessian[b][a] = hessian[a][b]
    if (a === 0) continue
    gradient[a] -= ridge * beta[a]
    hessian[a][a] += ridge
  }
  return solve(new Matrix(hessian.map((row) => [...row])), Matrix.columnVector([...gradient])).to1DArray()
}

function standardised(observations: readonly Observation[]) {
  const n = observations.length
  return Object.keys(observations[0].signals).flatMap((name) => {
    const raw = observations.map(({ signals }) => signals[name])
    const mean = raw.reduce((a, b) => a + b, 0) / n
    const deviation = Math.sqrt(raw.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n)
    if (!(deviation > 1e-9)) return []
    return [{ name, mean, deviation, values: Float64Array.from(raw, (value) => (value - mean) / deviation) }]
  })
}

/** Area under the ROC curve: the chance that something which happened was estimated higher than something which did not. */
export function auroc(estimates: readonly number[], happened: readonly boolean[]): number {
  const order = estimates.map((estimate, i) => ({ estimate, hit: happened[i] })).sort((a, b) => a.estimate - b.estimate)
  const hits = order.filter(({ hit }) => hit).length
  const misses = order.length - hits
  if (hits === 0 || misses === 0) return Number.NaN
  let ranks = 0
  for (let from = 0; from < order.length; ) {
    let to = from
    while (to < order.length && order[to].estimate === order[from].estimate) to++
    // Equals share their ranks.
    for (let i = from; i < to; i++) if (order[i].hit) ranks += (from + to + 1) / 2
    from = to
  }
  return (ranks - (hits * (hits + 1)) / 2) / (hits * misses)
}
