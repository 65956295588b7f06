import { dynamicWatts } from './predict.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs, Reason } from './types.ts'

/** What the step found out before it chooses; one object, so that each rule below reads as one line. */
export interface Facts {
  readonly telemetry: 'telemetry_missing' | 'telemetry_stale' | null
  readonly idle: boolean
  /** True when idle ended with this step: the feasible point is taken at once. */
  readonly waking: boolean
  readonly budgetChanged: boolean
  /** Measured watts if they are over the budget and were read after the last change settled, else null. */
  readonly overWatts: number | null
  readonly aim: number
  readonly works: readonly Inputs['load']['decodeWork'][]
  /** Rungs: where the cap is, the highest within the aim (-1 for none), and the highest allowed by heat. */
  readonly current: number
  readonly feasible: number
  readonly thermal: number
}

export interface ClockChoice {
  readonly rung: number
  readonly reason: Reason
}

/** The rung of the ladder for the coming interval: down at once, up by one rung per dwell. */
export function chooseClock(state: GovernorState, inputs: Inputs, facts: Facts): ClockChoice {
  const { current, feasible } = facts
  if (facts.telemetry !== null) return { rung: 0, reason: facts.telemetry }
  if (facts.idle) return { rung: 0, reason: 'idle' }
  const room = Math.max(0, Math.min(feasible, allowedRung(state, inputs)))
  if (facts.overWatts !== null && current > 0) {
    const rung = Math.min(room, rungBelow(inputs, facts, facts.overWatts))
    return { rung, reason: facts.budgetChanged ? 'budget_changed' : 'over_budget' }
  }
  if (facts.thermal < Math.min(current, room)) return { rung: facts.thermal, reason: 'thermal' }
  if (room < current) return { rung: room, reason: facts.budgetChanged ? 'budget_changed' : 'predicted_over_budget' }
  const target = Math.min(room, facts.thermal)
  if (target <= current) return { rung: current, reason: facts.thermal < room ? 'thermal' : 'within_budget' }
  if (facts.waking) return { rung: target, reason: 'within_budget' }
  if (inputs.atMs - state.changedAtMs < tuning.raiseDwellMs) return { rung: current, reason: 'dwell' }
  return raiseFits(inputs, facts)
    ? { rung: current + 1, reason: 'recovering' }
    : { rung: current, reason: 'within_budget' }
}

/** The highest rung below the present one that the measurement allows, by the ratio the model gives the rungs. */
function rungBelow(inputs: Inputs, facts: Facts, measuredWatts: number): number {
  const { ladder, model } = inputs
  const ratio = Math.max(0, facts.aim - model.idleWatts) / Math.max(1e-9, measuredWatts - model.idleWatts)
  const most = ratio * dynamicWatts(model, ladder.gpuHz[facts.current], facts.works)
  const rung = ladder.gpuHz.findLastIndex((hz) => dynamicWatts(model, hz, facts.works) <= most)
  return Math.max(0, Math.min(facts.current - 1, rung))
}

/** Would what is measured now, scaled to the next rung, stay within the aim? Guards against a model that is too kind. */
function raiseFits(inputs: Inputs, facts: Facts): boolean {
  const { ladder, model, reading } = inputs
  if (reading?.totalWatts == null) return false
  const here = dynamicWatts(model, ladder.gpuHz[facts.current], facts.works)
  const next = dynamicWatts(model, ladder.gpuHz[facts.current + 1], facts.works)
  return model.idleWatts + ((reading.totalWatts - model.idleWatts) * next) / here <= facts.aim
}

/** The rung below a cap that lately went over the budget, or the top. */
function allowedRung(state: GovernorState, inputs: Inputs): number {
  const top = inputs.ladder.gpuHz.length - 1
  const { barred } = state
  if (barred === null || inputs.atMs >= barred.untilMs) return top
  const rung = inputs.ladder.gpuHz.findLastIndex((hz) => hz < barred.hz)
  return rung === -1 ? 0 : rung
}
