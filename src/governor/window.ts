import { blend, idleFeatures, paced, rungsOf, workFeatures } from './features.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs } from './types.ts'

/** What ran between two decisions, as the model's watts. */
export interface Interval {
  readonly fromMs: number
  readonly untilMs: number
  readonly features: readonly number[]
  /** The model's watts, least and most, for telling whether a stretch was even. */
  readonly leastWatts: number
  readonly mostWatts: number
}

/** The intervals that a reading may still show, with the one that ends now. */
export function intervalsAfter(state: GovernorState, inputs: Inputs): readonly Interval[] {
  const { atMs, model, load, ladder } = inputs
  if (atMs <= state.atMs) return state.recent
  const idle = idleFeatures(model)
  const features = [...idle]
  const lengthSeconds = Math.max(load.intervalSeconds, (atMs - state.atMs) / 1000)
  const busy = load.decode.seconds + load.prefill.seconds
  // Steps of one engine do not overlap; more than the interval holds is a late report.
  const scale = 1 / Math.max(lengthSeconds, busy, 1e-9)
  for (const { work, seconds, stepSeconds } of [load.decode, load.prefill]) {
    if (seconds <= 0) continue
    const rung = rungsOf(model, ladder.gpuHz, work).find(({ gpuHz }) => gpuHz === state.gpuHz)
    const own = rung === undefined ? workFeatures(model, state.gpuHz, work) : paced(rung, stepSeconds ?? rung.seconds)
    blend(features, own, idle, seconds * scale)
  }
  const watts = sumOf(features)
  // The engine tells of a run when it ends: one may be under way where nothing was told, and the next may bring more of a late
  // step, of which the reading shows the last moments only. That stretch was anything from rest to work.
  const untold = load.active > 0 && busy === 0
  const late = atMs - state.atMs > tuning.lateMs && (load.active > 0 || busy > 0)
  const unknown = untold || late
  const working = () => [load.decode, load.prefill].map(({ work }) => sumOf(workFeatures(model, state.gpuHz, work)))
  const may = unknown ? [sumOf(idle), ...working(), watts] : [watts]
  const range = { leastWatts: Math.min(...may), mostWatts: Math.max(...may) }
  const kept = state.recent.filter((interval) => interval.untilMs > atMs - tuning.windowKeptMs)
  return [...kept, { fromMs: state.atMs, untilMs: atMs, features, ...range }]
}

const sumOf = (features: readonly number[]): number => features.reduce((sum, feature) => sum + feature, 0)

/** The features of the stretch that a reading of this moment shows, and how uneven it was in watts of the model. */
export function windowAt(
  recent: readonly Interval[],
  atMs: number,
): { readonly features: readonly number[]; readonly unevenWatts: number } | null {
  const fromMs = atMs - tuning.windowMs
  let milliseconds = 0
  let least = Number.POSITIVE_INFINITY
  let most = 0
  let sum: number[] | null = null
  for (const interval of recent) {
    const length = Math.min(interval.untilMs, atMs) - Math.max(interval.fromMs, fromMs)
    if (length <= 0) continue
    sum ??= interval.features.map(() => 0)
    for (let i = 0; i < sum.length; i += 1) sum[i] += interval.features[i] * length
    milliseconds += length
    least = Math.min(least, interval.leastWatts)
    most = Math.max(most, interval.mostWatts)
  }
  if (sum === null) return null
  return { features: sum.map((value) => value / milliseconds), unevenWatts: most - least }
}
