import { chooseClock, type Facts } from './clock.ts'
import { chooseLevel } from './level.ts'
import { expectedWorks, highestWithin, learnedCorrection, predictedWatts, thriftiestLevel } from './predict.ts'
import { reasons } from './reasons.ts'
import { aimWatts, tuning } from './tuning.ts'
import type { Decision, GovernorState, Inputs } from './types.ts'

/** One tick of the law: what was seen goes in, what shall be done comes out. Pure: equal arguments, equal results. */
export function step(
  state: GovernorState,
  inputs: Inputs,
): { readonly state: GovernorState; readonly decision: Decision } {
  const { atMs, ladder, limits, model, load } = inputs
  const telemetry = telemetryFault(inputs)
  const correction = telemetry === null ? learnedCorrection(state, inputs) : state.correction
  const busy = load.active + load.queued > 0
  const busyAtMs = busy ? atMs : state.busyAtMs
  const idle = atMs - busyAtMs > tuning.idleAfterMs
  const works = idle ? [] : expectedWorks(load)
  const aim = aimWatts(limits.budgetWatts)
  const heat = thermalLimit(state, inputs)
  const facts: Facts = {
    telemetry,
    idle,
    waking: busy && state.idle,
    budgetChanged: limits.budgetWatts !== state.budgetWatts,
    overWatts: overWatts(state, inputs, telemetry),
    aim,
    works,
    current: rungOf(ladder.gpuHz, state.decision.gpuHz),
    feasible: highestWithin(ladder, model, correction, works, aim),
    thermal: rungOf(ladder.gpuHz, heat.thermalHz),
  }
  const clock = chooseClock(state, inputs, facts)
  const gpuHz = ladder.gpuHz[clock.rung]
  const level = chooseLevel(state, inputs, facts, correction)
  const reason = level.brownOut ? 'brown_out' : clock.reason
  const power = predictedWatts(model, correction, gpuHz, works)
  const predicted = model.idleWatts + level.duty * (power - model.idleWatts)
  const changed = gpuHz !== state.decision.gpuHz
  const raised = gpuHz > state.decision.gpuHz && !facts.waking
  const decision: Decision = {
    gpuHz,
    capLevel: level.capLevel,
    ecoLevel: Math.min(level.capLevel, thriftiestLevel(ladder, model, correction, gpuHz, load.decodeWork)),
    duty: level.duty,
    reason,
    explanation: reasons[reason]({
      budgetWatts: limits.budgetWatts,
      fromHz: state.decision.gpuHz,
      toHz: gpuHz,
      predictedWatts: predicted,
      measuredWatts: inputs.reading?.totalWatts ?? null,
      tjCelsius: inputs.reading?.tjCelsius ?? null,
      throttleCelsius: limits.throttleCelsius,
      readingAgeMs: inputs.reading === null ? null : atMs - inputs.reading.atMs,
      duty: level.duty,
      capLevel: level.capLevel,
      fullLevel: ladder.shares.length - 1,
    }),
    predictedWatts: predicted,
  }
  const over = facts.overWatts !== null
  return {
    decision,
    state: {
      decision,
      correction,
      changedAtMs: changed ? atMs : state.changedAtMs,
      raisedAtMs: raised ? atMs : state.raisedAtMs,
      levelAtMs: level.capLevel !== state.decision.capLevel ? atMs : state.levelAtMs,
      busyAtMs,
      idle: idle && telemetry === null,
      budgetWatts: limits.budgetWatts,
      overSinceMs: over ? (state.overSinceMs ?? atMs) : null,
      barred: barredAfter(state, inputs, facts),
      ...heat,
    },
  }
}

function telemetryFault({ atMs, reading, limits }: Inputs): Facts['telemetry'] {
  if (reading === null || reading.totalWatts === null) return 'telemetry_missing'
  return atMs - reading.atMs > limits.staleAfterMs ? 'telemetry_stale' : null
}

function overWatts(state: GovernorState, inputs: Inputs, telemetry: Facts['telemetry']): number | null {
  const { reading, limits } = inputs
  if (telemetry !== null || reading?.totalWatts == null) return null
  const settled = reading.atMs >= state.changedAtMs + tuning.settleMs
  return settled && reading.totalWatts > limits.budgetWatts ? reading.totalWatts : null
}

/** A cap that measured over the budget is barred for a while, twice as long each time it fails again soon. */
function barredAfter(state: GovernorState, inputs: Inputs, facts: Facts): GovernorState['barred'] {
  const { atMs } = inputs
  if (facts.budgetChanged) return null
  if (facts.overWatts === null || facts.current === 0) return state.barred
  const { barred } = state
  const again = barred !== null && atMs < barred.untilMs + barred.holdMs
  const holdMs = again ? Math.min(tuning.barMostMs, 2 * barred.holdMs) : tuning.barMs
  return { hz: state.decision.gpuHz, untilMs: atMs + holdMs, holdMs }
}

/** Heat moves slowly: the thermal cap goes one rung down per dwell when close to throttling, and up when well below. */
function thermalLimit(state: GovernorState, inputs: Inputs): Pick<GovernorState, 'thermalHz' | 'thermalAtMs'> {
  const { atMs, ladder, limits, reading } = inputs
  const held = { thermalHz: state.thermalHz, thermalAtMs: state.thermalAtMs }
  const tj = reading?.tjCelsius ?? null
  if (tj === null || atMs - state.thermalAtMs < tuning.raiseDwellMs) return held
  const rung = rungOf(ladder.gpuHz, state.thermalHz)
  if (tj >= limits.throttleCelsius - tuning.thermalMarginKelvin) {
    // From the cap in force: stepping an unused ceiling down would cool nothing.
    const from = Math.min(rung, rungOf(ladder.gpuHz, state.decision.gpuHz))
    return { thermalHz: ladder.gpuHz[Math.max(0, from - 1)], thermalAtMs: atMs }
  }
  if (tj > limits.throttleCelsius - tuning.thermalReleaseKelvin || rung === ladder.gpuHz.length - 1) return held
  return { thermalHz: ladder.gpuHz[rung + 1], thermalAtMs: atMs }
}

/** The rung at or below this clock. */
function rungOf(points: readonly number[], hz: number): number {
  return Math.max(
    0,
    points.findLastIndex((point) => point <= hz),
  )
}
