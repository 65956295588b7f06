import { judge } from './health.ts'
import { expected } from './kalman.ts'
import { learnPace, type Pace } from './pace.ts'
import { backToSlow, freshPlant, learnPlant } from './plant.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs } from './types.ts'
import { intervalsAfter, windowAt } from './window.ts'

/** The state with everything that this step's inputs taught: sensor, plant, pace, and who waits. */
export interface Observed extends GovernorState {
  /** What the reading should have been; null when it shows nothing. */
  readonly expectedWatts: number | null
}

export function observe(before: GovernorState, inputs: Inputs): Observed {
  const { atMs, ladder, reading, load } = inputs
  // A board whose cap cannot be read may run at anything.
  const gpuHz = inputs.gpuCapHz ?? ladder.gpuHz[ladder.gpuHz.length - 1]
  const state = gpuHz === before.gpuHz ? before : { ...before, gpuHz, changedAtMs: atMs }
  const recent = intervalsAfter(state, inputs)
  const seen = reading === null ? null : windowAt(recent, reading.atMs)
  const health = judge(state.health, state.plant, inputs, seen)
  const fresh = health.readAtMs > state.health.readAtMs && seen !== null && reading?.totalWatts != null
  const believed = fresh && health.fault === null
  const seconds = Math.min(2, (health.readAtMs - state.health.readAtMs) / 1000)
  // What the readings of a drifting sensor taught is forgotten as soon as it is found out.
  const foundOut = health.fault === 'telemetry_drift' && state.health.fault !== 'telemetry_drift'
  const known = foundOut ? backToSlow(state.plant) : state.plant
  const learned = believed
    ? learnPlant(known, {
        ...seen,
        watts: reading.totalWatts ?? 0,
        seconds: Math.max(0, seconds),
        suspected: health.driftSinceMs !== null,
      })
    : known
  const plant = health.relearn ? freshPlant : learned
  const share = 1 - Math.exp(-Math.max(0, atMs - state.atMs) / tuning.backlogMs)
  return {
    ...state,
    recent,
    health,
    plant,
    pace: learnedPace(state, inputs),
    backlog: state.backlog + share * ((load.queued > 0 ? 1 : 0) - state.backlog),
    busyAtMs: load.active + load.queued > 0 ? atMs : state.busyAtMs,
    expectedWatts: seen === null ? null : expected(plant.fast, seen.features),
  }
}

function learnedPace(state: GovernorState, { model, load }: Inputs): Pace {
  let pace = state.pace
  for (const { work, stepSeconds } of [load.decode, load.prefill]) {
    if (stepSeconds !== null) pace = learnPace(model, pace, { gpuHz: state.gpuHz, work, seconds: stepSeconds })
  }
  return pace
}
