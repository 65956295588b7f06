import { type Health, judge } from './health.ts'
import { expected } from './kalman.ts'
import { learnPace, type Pace } from './pace.ts'
import { backToSlow, freshPlant, learnPlant, type Plant } from './plant.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs, Sensed } from './types.ts'
import { type Interval, intervalsAfter, isTold, windowAt } from './window.ts'

/** The state with everything that this step's inputs taught: sensor, plant, pace, and who waits. */
export interface Observed extends GovernorState {
  /** What the reading judged last should have been; null when it shows nothing. */
  readonly expectedWatts: number | null
}

export function observe(before: GovernorState, inputs: Inputs): Observed {
  const { atMs, ladder, reading, load } = inputs
  // A board whose cap cannot be read may run at anything.
  const gpuHz = inputs.gpuCapHz ?? ladder.gpuHz[ladder.gpuHz.length - 1]
  const state = gpuHz === before.gpuHz ? before : { ...before, gpuHz, changedAtMs: atMs }
  const recent = intervalsAfter(state, inputs)
  const readings = [...state.waiting, ...newReading(state, inputs)]
  const due = readings.filter((one) => isTold(recent, one, atMs))
  const known = due.reduce<Known>((known, one) => taken(known, { ...inputs, reading: one }, recent), state)
  // That there is no reading, or only an old one, waits for nothing.
  const health = due.at(-1) === reading ? known.health : judge(known.health, known.plant, inputs, null)
  const shown = due.at(-1) ?? reading
  const seen = shown === null ? null : windowAt(recent, shown.atMs)
  const share = 1 - Math.exp(-Math.max(0, atMs - state.atMs) / tuning.backlogMs)
  return {
    ...state,
    recent,
    waiting: readings.filter((one) => !due.includes(one)),
    health,
    plant: known.plant,
    pace: learnedPace(state, inputs),
    backlog: state.backlog + share * ((load.queued > 0 ? 1 : 0) - state.backlog),
    busyAtMs: load.active + load.queued > 0 ? atMs : state.busyAtMs,
    expectedWatts: seen === null ? null : expected(known.plant.fast, seen.features),
  }
}

/** The reading, if it is one that was not seen before. */
function newReading({ health, waiting }: GovernorState, { atMs, reading, limits }: Inputs): readonly Sensed[] {
  const seenMs = waiting.at(-1)?.atMs ?? health.readAtMs
  if (reading === null || reading.totalWatts === null || !(reading.atMs > seenMs)) return []
  return atMs - reading.atMs > limits.staleAfterMs ? [] : [reading]
}

type Known = Readonly<{ health: Health; plant: Plant }>

/** What a reading tells of the sensor and of the plant. */
function taken(before: Known, inputs: Inputs, recent: readonly Interval[]): Known {
  const { reading } = inputs
  const seen = reading === null ? null : windowAt(recent, reading.atMs)
  const health = judge(before.health, before.plant, inputs, seen)
  if (health.relearn) return { health, plant: freshPlant }
  // What the readings of a drifting sensor taught is forgotten as soon as it is found out.
  const foundOut = health.fault === 'telemetry_drift' && before.health.fault !== 'telemetry_drift'
  const plant = foundOut ? backToSlow(before.plant) : before.plant
  const sinceMs = health.readAtMs - before.health.readAtMs
  if (!(sinceMs > 0) || seen === null || health.fault !== null || reading?.totalWatts == null) return { health, plant }
  const seconds = Math.min(2, sinceMs / 1000)
  const suspected = health.driftSinceMs !== null
  return { health, plant: learnPlant(plant, { ...seen, watts: reading.totalWatts, seconds, suspected }) }
}

function learnedPace(state: GovernorState, { model, load }: Inputs): Pace {
  let pace = state.pace
  for (const { work, stepSeconds } of [load.decode, load.prefill]) {
    if (stepSeconds !== null) pace = learnPace(model, pace, { gpuHz: state.gpuHz, work, seconds: stepSeconds })
  }
  return pace
}
