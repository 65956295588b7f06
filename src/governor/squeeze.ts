import type { Point } from './points.ts'
import { aimWatts, tuning } from './tuning.ts'
import type { GovernorState, Inputs } from './types.ts'

export interface Squeeze {
  readonly duty: number
  readonly capLevel: number
  readonly brownOut: boolean
}

/**
 * What is left when the lowest cap the board takes is too much: the engine pauses between steps, and the level falls with
 * the pauses so that tokens keep coming. Down at once; the level back by one per dwell.
 */
export function squeeze(
  state: GovernorState,
  inputs: Inputs,
  lowest: { readonly points: readonly Point[]; readonly idleWatts: number; readonly idle: boolean },
): Squeeze {
  const { ladder, limits, atMs } = inputs
  const full = ladder.shares.length - 1
  const aim = aimWatts(limits.budgetWatts)
  const mostWatts = Math.max(0, ...lowest.points.map((point) => point.mostWatts))
  const short = !lowest.idle && mostWatts > (aim + limits.budgetWatts) / 2
  const duty = short
    ? Math.min(1, Math.max(tuning.dutyLeast, (aim - lowest.idleWatts) / (mostWatts - lowest.idleWatts)))
    : 1
  const held = limits.hold?.level == null ? full : Math.min(full, Math.max(0, limits.hold.level))
  const fitting = Math.max(
    0,
    ladder.shares.findLastIndex((share) => share <= duty),
  )
  const wanted = short ? Math.min(held, fitting) : held
  const before = Math.min(full, state.decision.capLevel)
  if (wanted <= before) return { duty, capLevel: wanted, brownOut: short }
  const capLevel = atMs - state.levelAtMs < tuning.raiseDwellMs ? before : before + 1
  // A level that climbs back after a hold was released is no brown-out; one that climbs back after a brown-out still is.
  const recovering = capLevel < held && state.decision.reason === 'brown_out'
  return { duty, capLevel, brownOut: !lowest.idle && (short || recovering) }
}
