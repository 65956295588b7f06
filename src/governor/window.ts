import { blend, idleFeatures, paced, rungsOf, workFeatures } from './features.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs, Phase, PhaseLoad, Ran, Sensed } from './types.ts'

/** What ran between two decisions, as the model's watts. */
export interface Interval {
  readonly fromMs: number
  readonly untilMs: number
  readonly seconds: number
  /** True where a run that was not told of may have been under way. */
  readonly untold: boolean
  /** Watts of each part while either kind of work runs, and those from rest to work: more of what ran may be told later. */
  readonly work: Readonly<Record<Phase, readonly number[]>>
  readonly range: readonly number[]
  readonly mayRun: boolean
  readonly features: readonly number[]
  /** The model's watts, least and most, for telling whether a stretch was even. */
  readonly leastWatts: number
  readonly mostWatts: number
}

/** The intervals that a reading may still show, by what is known now, with the one that ends now. */
export function intervalsAfter(state: GovernorState, inputs: Inputs): readonly Interval[] {
  const { atMs, model, load } = inputs
  if (atMs <= state.atMs) return state.recent
  const idle = idleFeatures(model)
  const { told } = load
  const kept = state.recent.flatMap((interval, i) => {
    if (interval.untilMs <= atMs - tuning.windowKeptMs) return []
    const ran = told?.earlier[i]
    return told === null || ran === undefined
      ? [interval]
      : [filled(interval, idle, ran, interval.untilMs > told.untilMs)]
  })
  const seconds = { decodeSeconds: load.decode.seconds, prefillSeconds: load.prefill.seconds }
  // Where nobody says how far the word goes: a run may be under way where nothing was told.
  const ran = { ...seconds, late: told?.late ?? (load.active > 0 && busySeconds(seconds) === 0) }
  const [decode, prefill] = [workOf(state, inputs, load.decode), workOf(state, inputs, load.prefill)]
  const now = {
    fromMs: state.atMs,
    untilMs: atMs,
    seconds: Math.max(load.intervalSeconds, (atMs - state.atMs) / 1000),
    work: { decode: decode.own, prefill: prefill.own },
    range: [sumOf(idle), decode.watts, prefill.watts],
    mayRun: load.active > 0,
  }
  return [...kept, filled(now, idle, ran, told !== null && atMs > told.untilMs)]
}

/** Watts of each part while such work runs at its own pace, and their sum at the model's. */
function workOf({ gpuHz }: GovernorState, { model, ladder }: Inputs, { work, stepSeconds }: PhaseLoad) {
  const rung = rungsOf(model, ladder.gpuHz, work).find((one) => one.gpuHz === gpuHz)
  const features = rung?.features ?? workFeatures(model, gpuHz, work)
  const own = rung === undefined || stepSeconds === null ? features : paced(rung, stepSeconds)
  return { own, watts: sumOf(features) }
}

const busySeconds = ({ decodeSeconds, prefillSeconds }: Omit<Ran, 'late'>): number => decodeSeconds + prefillSeconds

/** The interval with what ran in it. One that is not known well enough was anything from rest to work. */
function filled(
  interval: Omit<Interval, 'untold' | 'features' | 'leastWatts' | 'mostWatts'>,
  idle: readonly number[],
  ran: Ran,
  untold: boolean,
): Interval {
  const { fromMs, untilMs, seconds, work, mayRun, range } = interval
  const features = [...idle]
  const busy = busySeconds(ran)
  // Steps of one engine do not overlap; more than the interval holds is a late report.
  const scale = 1 / Math.max(seconds, busy, 1e-9)
  if (ran.decodeSeconds > 0) blend(features, work.decode, idle, ran.decodeSeconds * scale)
  if (ran.prefillSeconds > 0) blend(features, work.prefill, idle, ran.prefillSeconds * scale)
  const watts = sumOf(features)
  // Of a long interval the reading shows the last moments only.
  const long = untilMs - fromMs > tuning.lateMs && (mayRun || busy > 0)
  const may = untold || ran.late || long ? [...range, watts] : [watts]
  return { ...interval, untold, features, leastWatts: Math.min(...may), mostWatts: Math.max(...may) }
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

/** True when it is known what ran under this reading, as far as it ever will be. */
export function isTold(recent: readonly Interval[], reading: Sensed, atMs: number): boolean {
  return atMs - reading.atMs > tuning.waitMs || !recent.some(({ untold, fromMs }) => untold && fromMs < reading.atMs)
}
