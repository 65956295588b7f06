import { type ModelCost, runWork } from '../../board/work.ts'
import type { BatchPoint } from '../records.ts'
import { costAt, type Setting } from './cost.ts'
import type { Trace } from './traces.ts'

export const batchSizes = [1, 2, 3, 4, 5, 6, 7, 8] as const

/** Steps per point: each is the mean of so many, and each batch size has several, so that the exponent gets an interval. */
const stepsPerPoint = 500
const pointsPerSize = 8

/**
 * Joules of a decoding step with so many answers side by side, always as many: whoever ends makes room for the next. All of
 * a step runs at the highest level any of them wants, because the weights are read once: the union of their sub-networks.
 */
export function batchPoints(arm: string, traces: readonly Trace[], cost: ModelCost, setting: Setting): BatchPoint[] {
  const busy = traces.filter(({ runs }) => runs.length > 0)
  if (busy.length === 0) return []
  return batchSizes.flatMap((batch) => {
    const steps = stepJoules(busy, batch, cost, setting)
    return Array.from({ length: pointsPerSize }, () => {
      const joules = Array.from({ length: stepsPerPoint }, () => steps.next().value ?? 0)
      return { arm, batch, stepJoules: joules.reduce((sum, value) => sum + value, 0) / joules.length }
    })
  })
}

/** Without end: after the last answer come the first ones again. */
function* stepJoules(traces: readonly Trace[], batch: number, cost: ModelCost, { model, decode }: Setting) {
  let next = 0
  const take = () => ({ runs: traces[next++ % traces.length].runs, at: 0 })
  const seats = Array.from({ length: batch }, take)
  for (;;) {
    const runs = seats.map(({ runs, at }) => runs[at])
    const level = Math.max(...runs.map((run) => run.level))
    const parts = runs.map(({ rows, contextTokens }) => ({ tokens: rows, contextTokens }))
    yield costAt(model, decode(level), runWork(cost, { phase: 'decode', level, parts })).joules
    for (const [i, seat] of seats.entries()) {
      seat.at++
      if (seat.at === seat.runs.length) seats[i] = take()
    }
  }
}
