import type { EvaluationData } from '../records.ts'
import { quantile } from '../statistics/quantiles.ts'
import { powerLaw, regress } from '../statistics/regression.ts'
import type { BatchRow, PriorRow, Scaling, ThrottleRow } from './report.ts'
import { bytesPerToken, type Tables, total } from './table.ts'

/** Speed of the package's levels, the full one among them, against what they leave unread; null for fewer than three. */
export function scaling({ arms }: Tables): Scaling | null {
  const points = arms.flatMap((table) => {
    const { run, main, decoded } = table
    if ((run.kind !== 'level' && run.kind !== 'reference') || run.share === null) return []
    const secondsPerToken = total(main.decodeSeconds) / total(decoded)
    return [
      {
        arm: run.arm,
        sparsity: 1 - run.share,
        tokensPerSecond: 1 / secondsPerToken,
        bytesPerToken: bytesPerToken(table),
        secondsPerToken,
      },
    ]
  })
  if (new Set(points.map(({ sparsity }) => sparsity)).size < 3) return null
  const time = regress(points.map((point) => [point.bytesPerToken, point.secondsPerToken]))
  const fullest = Math.max(...points.map((point) => point.bytesPerToken))
  const atFull = time.intercept.value + time.slope.value * fullest
  return {
    points,
    throughput: regress(points.map((point) => [point.sparsity, point.tokensPerSecond])),
    time,
    elasticity: (time.slope.value * fullest) / atFull,
  }
}

/** Energy of a batched step as a power of the batch: an exponent of 1 is linear, below it answers share. */
export function batchRows({ batches }: EvaluationData): BatchRow[] {
  return [...new Set(batches.map(({ arm }) => arm))].flatMap((arm) => {
    const points = batches
      .filter((point) => point.arm === arm)
      .map(({ batch, stepJoules }) => ({ batch, stepJoules }))
      .sort((a, b) => a.batch - b.batch)
    if (points.length < 3) return []
    return [{ arm, points, law: powerLaw(points.map(({ batch, stepJoules }) => [batch, stepJoules])) }]
  })
}

const stretches = 120

export function throttleRows({ throttling }: EvaluationData): ThrottleRow[] {
  return throttling
    .filter(({ secondsPerToken }) => secondsPerToken.length > 0)
    .map(({ arm, atSeconds, secondsPerToken }) => {
      const times = Array.from(secondsPerToken)
      const [p50Seconds, p99Seconds] = [quantile(times, 0.5), quantile(times, 0.99)]
      const [from, to] = [atSeconds[0], atSeconds[atSeconds.length - 1]]
      const bins = Array.from({ length: stretches }, () => [] as number[])
      for (let i = 0; i < times.length; i++) {
        const part = to > from ? (atSeconds[i] - from) / (to - from) : 0
        bins[Math.min(stretches - 1, Math.floor(part * stretches))].push(times[i])
      }
      const curve = bins.flatMap((bin, i) =>
        bin.length === 0
          ? []
          : [{ atSeconds: from + ((i + 0.5) / stretches) * (to - from), secondsPerToken: quantile(bin, 0.5) }],
      )
      return { arm, p50Seconds, p99Seconds, ratio: p99Seconds / p50Seconds, curve }
    })
}

export function priorRows({ priorDraws }: EvaluationData, claimedSaving: number): PriorRow[] {
  const middle = (values: Float64Array) => {
    const all = Array.from(values)
    return { value: quantile(all, 0.5), low: quantile(all, 0.025), high: quantile(all, 0.975) }
  }
  return priorDraws.map(({ arm, powerState, decodeSaving, requestSaving }) => ({
    arm,
    powerState,
    draws: decodeSaving.length,
    decodeSaving: middle(decodeSaving),
    requestSaving: middle(requestSaving),
    reaches: decodeSaving.filter((saving) => saving >= claimedSaving).length / decodeSaving.length,
  }))
}
