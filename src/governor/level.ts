import type { Facts } from './clock.ts'
import { clamp, dynamicWatts } from './predict.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs } from './types.ts'

export interface LevelChoice {
  readonly capLevel: number
  readonly duty: number
  readonly brownOut: boolean
}

/**
 * The highest level for anyone: the full network, unless the lowest clock is predicted over the budget. Then the engine
 * must pause, and the level falls with the pauses. Down at once; back by one level per dwell.
 */
export function chooseLevel(state: GovernorState, inputs: Inputs, facts: Facts, correction: number): LevelChoice {
  const { ladder, model, atMs } = inputs
  const full = ladder.shares.length - 1
  if (facts.telemetry !== null) return { capLevel: full, duty: 1, brownOut: false }
  const short = !facts.idle && facts.feasible === -1
  const lowest = correction * dynamicWatts(model, ladder.gpuHz[0], facts.works)
  const duty = short ? clamp((facts.aim - model.idleWatts) / lowest, tuning.dutyLeast, 1) : 1
  const wanted = short
    ? Math.max(
        0,
        ladder.shares.findLastIndex((share) => share <= duty),
      )
    : full
  const held = state.decision.capLevel
  if (wanted <= held) return { capLevel: wanted, duty, brownOut: short }
  const capLevel = atMs - state.levelAtMs < tuning.raiseDwellMs ? held : held + 1
  return { capLevel, duty, brownOut: !facts.idle && (short || capLevel < full) }
}
