/** Pure integration of power samples over monotonic time (hardware.md §10.5): never from a sensor's own averages. */
export interface MeterState {
  readonly atMs: number | null
  readonly watts: number | null
  readonly joules: number
  /** Seconds that no two samples close enough together cover: their energy is unknown, not zero and not guessed. */
  readonly unknownSeconds: number
  readonly samples: number
}

export interface Sample {
  readonly atMs: number
  readonly watts: number | null
}

/** What one interval between two samples held. */
export interface Interval {
  readonly seconds: number
  readonly joules: number
  readonly unknownSeconds: number
}

/** Longer than this many sample periods without a sample is a gap. */
const gapPeriods = 3

export const emptyMeter: MeterState = { atMs: null, watts: null, joules: 0, unknownSeconds: 0, samples: 0 }

/** Adds a sample: the trapezoid to the sample before, or unknown seconds across a gap or an unknown value. */
export function addSample(
  state: MeterState,
  sample: Sample,
  periodMs: number,
): { readonly state: MeterState; readonly interval: Interval } {
  const none: Interval = { seconds: 0, joules: 0, unknownSeconds: 0 }
  if (state.atMs !== null && sample.atMs <= state.atMs) return { state, interval: none }
  const seconds = state.atMs === null ? 0 : (sample.atMs - state.atMs) / 1000
  const gap = seconds * 1000 > gapPeriods * periodMs
  const known = state.atMs !== null && !gap && state.watts !== null && sample.watts !== null
  const joules = known ? (((state.watts ?? 0) + (sample.watts ?? 0)) / 2) * seconds : 0
  const interval = { seconds, joules, unknownSeconds: known ? 0 : seconds }
  return {
    interval,
    state: {
      atMs: sample.atMs,
      watts: sample.watts,
      joules: state.joules + joules,
      unknownSeconds: state.unknownSeconds + interval.unknownSeconds,
      samples: state.samples + (sample.watts === null ? 0 : 1),
    },
  }
}
