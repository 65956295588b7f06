import type { PowerModel } from '../board/types.ts'
import { reasons } from './reasons.ts'
import type { GovernorState, Ladder } from './types.ts'

/** The state before the first step: the lowest cap, every level allowed, the model as its priors say. */
export function initialState(start: {
  readonly atMs: number
  readonly ladder: Ladder
  readonly model: PowerModel
  readonly budgetWatts: number
}): GovernorState {
  const { atMs, ladder, model, budgetWatts } = start
  const fullLevel = ladder.shares.length - 1
  const gpuHz = ladder.gpuHz[0]
  return {
    decision: {
      gpuHz,
      capLevel: fullLevel,
      ecoLevel: 0,
      duty: 1,
      reason: 'start',
      explanation: reasons.start({
        budgetWatts,
        fromHz: gpuHz,
        toHz: gpuHz,
        predictedWatts: model.idleWatts,
        measuredWatts: null,
        tjCelsius: null,
        throttleCelsius: Number.NaN,
        readingAgeMs: null,
        duty: 1,
        capLevel: fullLevel,
        fullLevel,
      }),
      predictedWatts: model.idleWatts,
    },
    correction: 1,
    changedAtMs: atMs,
    raisedAtMs: atMs,
    levelAtMs: atMs,
    busyAtMs: Number.NEGATIVE_INFINITY,
    idle: true,
    budgetWatts,
    overSinceMs: null,
    barred: null,
    thermalHz: ladder.gpuHz[ladder.gpuHz.length - 1],
    thermalAtMs: atMs,
  }
}
