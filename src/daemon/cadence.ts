/** Between two ticks under load: the sensors refresh every 45 ms (hardware.md §2.1), faster would read values twice. */
export const loadPeriodMs = 50
/** At rest nothing can happen that a request, an order or a second would not bring up. */
export const restPeriodMs = 1000
/** Fast ticks go on so long after the last reason for them, so that the end of an answer is seen and settles. */
const lingerMs = 1000

/** What decides how soon the next tick comes. */
export interface Activity {
  /** Requests that run or wait. */
  readonly requests: number
  /** True unless the engine is ready or has given up: a start or restart is followed closely. */
  readonly engineChanging: boolean
  /** True while the board draws more than its budget, by the latest reading. */
  readonly overBudget: boolean
  /** True while a clock is not where it was ordered to be. */
  readonly clocksMoving: boolean
}

/** When the loop was last needed, and the milliseconds until its next tick. */
export interface Cadence {
  readonly neededAtMs: number
  readonly periodMs: number
}

export const atStart = (atMs: number): Cadence => ({ neededAtMs: atMs, periodMs: loadPeriodMs })

/** Twenty ticks a second while there is something to steer, one at rest, where a daemon must cost next to nothing. */
export function nextCadence(before: Cadence, atMs: number, activity: Activity): Cadence {
  const { requests, engineChanging, overBudget, clocksMoving } = activity
  const needed = requests > 0 || engineChanging || overBudget || clocksMoving
  const neededAtMs = needed ? atMs : before.neededAtMs
  return { neededAtMs, periodMs: atMs - neededAtMs <= lingerMs ? loadPeriodMs : restPeriodMs }
}
