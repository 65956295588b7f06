/**
 * When to write one limit (a clock cap in Hz, or a number of cores): pure, so that drift, refusals and slew can be tested
 * without files. What stands on the board goes in, the value to write comes out.
 */
export interface Keeping {
  /** What was last written and what the board made of it; null before the first write. */
  readonly asked: number | null
  readonly became: number | null
  /** The value somebody else has set since, once it was noticed. */
  readonly foreign: number | null
  /** When such values were noticed in the last minute, and how many in all. */
  readonly driftsAtMs: readonly number[]
  readonly drifts: number
  readonly raisedAtMs: number
  /** After a refused write: not again before this, with pauses that double. */
  readonly retryAtMs: number
  readonly waitMs: number
}

export interface Slew {
  /** A rise no sooner than this after the last one; the way down is never held up. */
  readonly raiseEveryMs: number
  /** Largest rise by one write, in steps of the list of points. */
  readonly raiseSteps: number
}

export interface Move {
  readonly keeping: Keeping
  /** The value to write now; null to leave the file alone. */
  readonly write: number | null
  /** The value somebody else had set, when it was noticed with this call. */
  readonly driftedFrom: number | null
  /** Somebody keeps changing it: what they set stands until a minute holds fewer changes. */
  readonly contested: boolean
}

export const untouched: Keeping = {
  asked: null,
  became: null,
  foreign: null,
  driftsAtMs: [],
  drifts: 0,
  raisedAtMs: Number.NEGATIVE_INFINITY,
  retryAtMs: Number.NEGATIVE_INFINITY,
  waitMs: 0,
}

/** Re-applied this often in a minute and no more: two programs that fight over a file help nobody. */
export const mostReappliedPerMinute = 6
const minuteMs = 60_000
const firstWaitMs = 500
const mostWaitMs = 30_000

/** What to do about `want` (one of `points`, ascending) when the file says `now`. */
export function nextMove(
  before: Keeping,
  { atMs, want, now }: { readonly atMs: number; readonly want: number; readonly now: number },
  points: readonly number[],
  slew: Slew,
): Move {
  const foreign = before.became !== null && now !== before.became
  const noticed = foreign && now !== before.foreign
  const recent = before.driftsAtMs.filter((driftMs) => atMs - driftMs < minuteMs)
  const keeping: Keeping = {
    ...before,
    foreign: foreign ? now : null,
    driftsAtMs: noticed ? [...recent, atMs] : recent,
    drifts: before.drifts + Number(noticed),
  }
  const contested = keeping.driftsAtMs.length > mostReappliedPerMinute && now !== want
  const leave: Move = { keeping, write: null, driftedFrom: noticed ? now : null, contested }
  if (now === want) return { ...leave, keeping: before.asked === null ? keeping : written(keeping, want, now) }
  // What the board made of the same order counts as done: it snaps to its own points.
  if (before.asked === want && !foreign) return leave
  if (before.asked === want && contested) return leave
  if (atMs < before.retryAtMs) return leave
  if (want < now) return { ...leave, write: want }
  if (atMs - before.raisedAtMs < slew.raiseEveryMs) return leave
  const from = points.findLastIndex((point) => point <= now)
  const write = points[Math.min(points.indexOf(want), Math.max(0, from) + slew.raiseSteps)] ?? want
  return { ...leave, keeping: { ...keeping, raisedAtMs: atMs }, write }
}

export function written(keeping: Keeping, asked: number, became: number): Keeping {
  return { ...keeping, asked, became, foreign: null, retryAtMs: Number.NEGATIVE_INFINITY, waitMs: 0 }
}

export function refused(keeping: Keeping, atMs: number): Keeping {
  const waitMs = Math.min(mostWaitMs, Math.max(firstWaitMs, 2 * keeping.waitMs))
  return { ...keeping, retryAtMs: atMs + waitMs, waitMs }
}
