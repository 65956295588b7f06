import { tuning } from './tuning.ts'
import type { Reason } from './types.ts'

/** The figures an explanation may use. */
export interface Figures {
  readonly budgetWatts: number
  readonly fromHz: number
  readonly toHz: number
  readonly predictedWatts: number
  readonly measuredWatts: number | null
  /** What the last reading should have been. */
  readonly expectedWatts: number | null
  readonly tjCelsius: number | null
  readonly throttleCelsius: number
  readonly readingAgeMs: number | null
  readonly duty: number
  readonly capLevel: number
  readonly fullLevel: number
  /** The cap the board really has. */
  readonly boardHz: number
  readonly tokenSeconds: number
}

/** One row per reason: the sentence shown on the page and in the log. */
export const reasons = {
  start: (f) => `started at the lowest GPU cap, ${mhz(f.toHz)} MHz`,
  idle: (f) => `no request: ${cap(f)}, about ${watts(f.predictedWatts)}`,
  within_budget: (f) => `${budget(f)}: ${cap(f)}, predicted ${watts(f.predictedWatts)}`,
  least_energy: (f) =>
    `${cap(f)}: the fewest joules per token within the ${budget(f)}, predicted ${watts(f.predictedWatts)}`,
  latency_target: (f) =>
    f.tokenSeconds === 0
      ? `${cap(f)}: as fast as the ${budget(f)} allows, predicted ${watts(f.predictedWatts)}`
      : `${cap(f)} to keep the latency target, predicted ${watts(f.predictedWatts)}`,
  over_budget: (f) =>
    `${budget(f)}: measured ${watts(f.measuredWatts)}, ${cap(f)}, predicted ${watts(f.predictedWatts)}`,
  predicted_over_budget: (f) => `${budget(f)}: ${cap(f)}, predicted ${watts(f.predictedWatts)}`,
  budget_changed: (f) => `new ${budget(f)}: ${cap(f)}, predicted ${watts(f.predictedWatts)}`,
  recovering: (f) => `${budget(f)} leaves room: ${cap(f)}, predicted ${watts(f.predictedWatts)}`,
  dwell: (f) =>
    `${budget(f)} leaves room: ${cap(f)} until the dwell time is over, predicted ${watts(f.predictedWatts)}`,
  brown_out: (f) =>
    `${budget(f)} cannot be met by the clock alone: ${cap(f)}, level at most ${f.capLevel} of ${f.fullLevel}, ` +
    `engine busy ${Math.round(100 * f.duty)} % of the time, predicted ${watts(f.predictedWatts)}`,
  telemetry_missing: (f) => `power is unknown: ${cap(f)}, the safest point`,
  telemetry_stale: (f) =>
    `the last power reading is ${Math.round(f.readingAgeMs ?? 0)} ms old: ${cap(f)}, the safest point`,
  telemetry_stuck: (f) =>
    `the power reading stays at ${watts(f.measuredWatts)} although the load changed: ${cap(f)}, the safest point`,
  telemetry_implausible: (f) =>
    agree(f)
      ? `the power reading could not be true a moment ago: ${cap(f)}, the safest point`
      : `the power reading of ${watts(f.measuredWatts)} cannot be true at about ${watts(f.expectedWatts)}: ${cap(f)}, the safest point`,
  telemetry_drift: (f) => `the power sensor seems to drift low: ${cap(f)}, the safest point`,
  probe: (f) => `testing whether the power sensor still moves: ${cap(f)} for a moment`,
  thermal: (f) =>
    f.tjCelsius === null
      ? `the board throttles: ${cap(f)}`
      : `${f.tjCelsius.toFixed(1)} °C is close to throttling at ${f.throttleCelsius} °C: ${cap(f)}`,
  over_current: (f) => `the board counted an over-current event: ${cap(f)}`,
  clock_refused: (f) =>
    `the board stays at ${mhz(f.boardHz)} MHz and does not take the GPU cap ${mhz(f.toHz)} MHz: ` +
    `engine busy ${Math.round(100 * f.duty)} % of the time, predicted ${watts(f.predictedWatts)}`,
  hold: (f) =>
    f.capLevel < f.fullLevel
      ? `held by hand: level ${f.capLevel} of ${f.fullLevel}, ${cap(f)}, predicted ${watts(f.predictedWatts)}`
      : `held by hand: ${cap(f)}, predicted ${watts(f.predictedWatts)}`,
} as const satisfies Record<Reason, (figures: Figures) => string>

const mhz = (hz: number): string => String(Math.floor(hz / 1e6))
const watts = (value: number | null): string => (value === null ? 'unknown' : `${value.toFixed(1)} W`)
const budget = (f: Figures): string => `${watts(f.budgetWatts)} budget`
const cap = (f: Figures): string =>
  f.fromHz === f.toHz ? `GPU cap stays at ${mhz(f.toHz)} MHz` : `GPU cap ${mhz(f.fromHz)} → ${mhz(f.toHz)} MHz`

/** A fault outlasts the reading that showed it; the figures of a sound one would say nothing. */
const agree = ({ measuredWatts, expectedWatts }: Figures): boolean =>
  Math.abs((measuredWatts ?? 0) - (expectedWatts ?? 0)) < tuning.implausibleWatts
