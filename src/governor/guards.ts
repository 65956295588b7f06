import { barAfter, rungOf } from './ceiling.ts'
import { tuning } from './tuning.ts'
import type { Bar, GovernorState, Inputs } from './types.ts'

/** Heat moves slowly: the thermal rung goes down by one per dwell when close to throttling, and up when well below. */
export function thermalGuard(state: GovernorState, inputs: Inputs): Pick<GovernorState, 'thermalRung' | 'thermalAtMs'> {
  const { atMs, ladder, limits, reading } = inputs
  const { thermalRung, thermalAtMs } = state
  const tj = reading?.tjCelsius ?? null
  const top = ladder.gpuHz.length - 1
  const held = { thermalRung: Math.min(top, thermalRung), thermalAtMs }
  if (atMs - thermalAtMs < tuning.thermalDwellMs) return held
  const hot = tj !== null && tj >= limits.throttleCelsius - tuning.thermalMarginKelvin
  if (hot || reading?.throttling === true) {
    // From the cap in force: stepping an unused ceiling down would cool nothing.
    const from = Math.min(held.thermalRung, rungOf(ladder.gpuHz, state.gpuHz))
    return { thermalRung: Math.max(0, from - 1), thermalAtMs: atMs }
  }
  if (tj === null || tj > limits.throttleCelsius - tuning.thermalReleaseKelvin || held.thermalRung === top) return held
  return { thermalRung: held.thermalRung + 1, thermalAtMs: atMs }
}

/** A rising count of over-current events is the early sign of a cap that is too high: one point down, for a while. */
export function overCurrentGuard(
  state: GovernorState,
  inputs: Inputs,
): Pick<GovernorState, 'overCurrent' | 'overCurrentEvents'> {
  const events = inputs.reading?.overCurrentEvents ?? null
  const { overCurrentEvents, overCurrent } = state
  if (events === null) return { overCurrent, overCurrentEvents }
  if (overCurrentEvents === null || events <= overCurrentEvents) return { overCurrent, overCurrentEvents: events }
  // Events that the present cap could not yet prevent count once.
  const settled = inputs.atMs - state.changedAtMs >= tuning.windowMs
  if (!settled && overCurrent !== null) return { overCurrent, overCurrentEvents: events }
  const bar = barAfter(overCurrent, state.gpuHz, inputs.atMs, tuning.overCurrentBarMs, tuning.overCurrentBarMostMs)
  return { overCurrent: bar, overCurrentEvents: events }
}

/** Watts of a reading over the budget that shows the present point and nothing of the one before; else null. */
export function overWatts(state: GovernorState, inputs: Inputs): number | null {
  const { reading, limits } = inputs
  if (reading === null || reading.totalWatts === null) return null
  const settled = reading.atMs >= state.changedAtMs + tuning.windowMs
  return settled && reading.totalWatts > limits.budgetWatts ? reading.totalWatts : null
}

/** After a new budget the old failures say nothing; after a reading over the budget the present cap is barred. */
export function budgetGuard(state: GovernorState, inputs: Inputs, over: number | null): Bar | null {
  if (inputs.limits.budgetWatts > state.budgetWatts) return null
  if (over === null || rungOf(inputs.ladder.gpuHz, state.gpuHz) === 0) return state.barred
  return barAfter(state.barred, state.gpuHz, inputs.atMs, tuning.barMs, tuning.barMostMs)
}

/** Since when the board has run above the cap it was given. */
export function refusalGuard(state: GovernorState, inputs: Inputs): GovernorState['refusedAtMs'] {
  if (state.gpuHz <= state.decision.gpuHz) return null
  return state.refusedAtMs ?? inputs.atMs
}
