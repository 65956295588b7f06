import { DeapdError, detailOf } from '../errors.ts'
import type { ClockJournal } from './journal.ts'
import { type Keeping, nextMove, refused, type Slew, untouched, written } from './keeping.ts'
import { putBack } from './restore.ts'

/** One limit after an order: Hz for clocks, a number for cores. */
export interface AppliedLimit {
  /** What stands on the board now; null when it cannot be read. */
  readonly value: number | null
  readonly wrote: boolean
  /** The value somebody else (jetson_clocks, nvpmodel, a driver re-bind) had set, when that was noticed just now. */
  readonly driftedFrom: number | null
  /** How often that has happened since the start. */
  readonly drifts: number
  /** Somebody changes it again and again: what they set stands until they leave it alone. */
  readonly contested: boolean
  /** Why the last write did not take; null when it did. It is tried again with growing pauses. */
  readonly fault: DeapdError | null
}

/** One limit as the order sees it: read, write, points and how fast it may rise. */
export interface Lever {
  readonly points: readonly number[]
  readonly slew: Slew
  readonly read: () => number
  readonly write: (value: number) => number
  readonly files: () => readonly string[]
}

/**
 * Keeps one limit at what is wanted; null wants what stood before we came. It never throws: a limit that cannot be had is
 * reported with each answer until it can.
 */
export function createKeeper(root: string, lever: Lever, journal: ClockJournal) {
  let keeping: Keeping = untouched
  let fault: DeapdError | null = null

  /** The act, or its refusal: then it is not tried again for a while. */
  const tryTo = <T>(atMs: number, act: () => T): T | null => {
    try {
      return act()
    } catch (thrown) {
      keeping = refused(keeping, atMs)
      fault = asClockFault(root, thrown)
      return null
    }
  }

  const giveBack = (): void => {
    const ours = lever.files().flatMap((path) => {
      const original = journal.originalOf(path)
      return original === undefined ? [] : [{ path, original }]
    })
    const { failure } = putBack(root, ours)
    if (failure !== undefined) throw failure
    keeping = { ...untouched, drifts: keeping.drifts }
  }

  return (wanted: number | null, atMs: number): AppliedLimit | null => {
    if (wanted === null && keeping.asked === null) return null
    const answer = { value: null, wrote: false, driftedFrom: null, drifts: keeping.drifts, contested: false }
    let now: number
    try {
      now = lever.read()
    } catch (thrown) {
      fault = asClockFault(root, thrown)
      return { ...answer, fault }
    }
    if (wanted === null) {
      if (atMs >= keeping.retryAtMs) tryTo(atMs, giveBack)
      return { ...answer, value: now, fault }
    }
    const { points, slew } = lever
    const want = points.findLast((point) => point <= wanted) ?? points[0]
    const move = nextMove(keeping, { atMs, want, now }, points, slew)
    const { write, driftedFrom, contested } = move
    keeping = move.keeping
    if (atMs >= keeping.retryAtMs) fault = null
    const became = write === null ? null : tryTo(atMs, () => lever.write(write))
    if (write !== null && became !== null) keeping = written(keeping, write, became)
    const value = became ?? now
    return { value, wrote: became !== null, driftedFrom, drifts: keeping.drifts, contested, fault }
  }
}

function asClockFault(root: string, thrown: unknown): DeapdError {
  if (thrown instanceof DeapdError) return thrown
  return new DeapdError('clock_refused', { path: root, detail: detailOf(thrown), kept: 'an unknown value' }, thrown)
}
