import { highestWithin, type Point } from './points.ts'
import { aimWatts, tuning } from './tuning.ts'
import type { Bar, Ceiling } from './types.ts'

/** What may raise a ceiling: known power, work that runs, a reading of the present point, nothing over the budget. */
export interface Room {
  readonly atMs: number
  readonly budgetWatts: number
  readonly mayRaise: boolean
}

export interface CeilingMove {
  readonly ceiling: Ceiling
  readonly reason: 'within_budget' | 'predicted_over_budget' | 'recovering' | 'dwell'
}

/** The next ceiling of a phase: as low as the prediction says at once, one rung up per dwell. */
export function nextCeiling(before: Ceiling, points: readonly Point[], room: Room): CeilingMove {
  const aim = aimWatts(room.budgetWatts)
  // Between the two it stays: a prediction that breathes must not make the clock breathe.
  const mayStay = Math.max(0, highestWithin(points, (aim + room.budgetWatts) / 2))
  const mayRise = highestWithin(points, aim)
  if (mayStay < before.rung) return { ceiling: { ...before, rung: mayStay }, reason: 'predicted_over_budget' }
  if (mayRise <= before.rung) return { ceiling: before, reason: 'within_budget' }
  if (!room.mayRaise || room.atMs - before.raisedAtMs < tuning.raiseDwellMs) return { ceiling: before, reason: 'dwell' }
  return { ceiling: { rung: before.rung + 1, raisedAtMs: room.atMs }, reason: 'recovering' }
}

/**
 * A cap that has just failed is barred for a while: twice as long when it is tried again and fails again soon, and as long
 * as before when a lower one fails meanwhile.
 */
export function barAfter(before: Bar | null, hz: number, atMs: number, holdMs: number, mostMs: number): Bar {
  if (before === null || atMs >= before.untilMs + before.holdMs) return { hz, untilMs: atMs + holdMs, holdMs }
  const hold = atMs < before.untilMs ? before.holdMs : Math.min(mostMs, 2 * before.holdMs)
  return { hz, untilMs: atMs + hold, holdMs: hold }
}

/** The highest rung below a bar while it lasts; the top without one. */
export function rungUnder(bar: Bar | null, gpuHz: readonly number[], atMs: number): number {
  if (bar === null || atMs >= bar.untilMs) return gpuHz.length - 1
  return Math.max(
    0,
    gpuHz.findLastIndex((hz) => hz < bar.hz),
  )
}

/** The rung at or below this clock. */
export function rungOf(gpuHz: readonly number[], hz: number): number {
  return Math.max(
    0,
    gpuHz.findLastIndex((point) => point <= hz),
  )
}
