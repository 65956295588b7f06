import { blend, idleFeatures, paced, rungsOf, workFeatures } from './features.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs } from './types.ts'

/** What ran between two decisions, as the model's watts. */
export interface Interval {
  readonly fromMs: number
  readonly untilMs: number
  readonly features: readonly number[]
  /** Sum of the features: the model's watts, for telling whether a stretch was even. */
  readonly watts: number
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
  const watts = features.reduce((sum, feature) => sum + feature, 0)
  const kept = state.recent.filter((interval) => interval.untilMs > atMs - tuning.windowKeptMs)
  return [...kept, { fromMs: state.atMs, untilMs: atMs, features, watts }]
}

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
    least = Math.min(least, interval.watts)
    most = Math.max(most, interval.watts)
  }
  if (sum === null) return null
  return { features: sum.map((value) => value / milliseconds), unevenWatts: most - least }
}
