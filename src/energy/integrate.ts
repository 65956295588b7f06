/** Pure integration of power samples over monotonic time (hardware.md §10.5): never from a sensor's own averages. */
export interface MeterState {
  readonly atMs: number | null
  readonly watts: number | null
  readonly joules: number
  /** Seconds that no two samples close enough together cover: their energy is unknown, not zero and not guessed. */
  readonly unknownSeconds: number
  readonly samples: number
  /** Longest time after that sample in which the next one must come, or there is a gap. */
  readonly gapMs: number
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
  /** J²: the load may have changed anywhere between the two samples, so the trapezoid is off by up to half a step. */
  readonly samplingVariance: number
}

export const emptyMeter: MeterState = { atMs: null, watts: null, joules: 0, unknownSeconds: 0, samples: 0, gapMs: 0 }

/**
 * Adds a sample: the trapezoid to the sample before, or unknown seconds across a gap or an unknown value. `gapMs` is the
 * longest time that may pass without a sample; of two samples the more patient one counts, for a board at rest is read seldom.
 */
export function addSample(
  state: MeterState,
  sample: Sample,
  gapMs: number,
): { readonly state: MeterState; readonly interval: Interval } {
  const none: Interval = { seconds: 0, joules: 0, unknownSeconds: 0, samplingVariance: 0 }
  if (state.atMs !== null && sample.atMs <= state.atMs) return { state, interval: none }
  const seconds = state.atMs === null ? 0 : (sample.atMs - state.atMs) / 1000
  const interval =
    seconds * 1000 > Math.max(gapMs, state.gapMs) ? unknown(seconds) : between(state.watts, sample, seconds)
  return {
    interval,
    state: {
      atMs: sample.atMs,
      watts: sample.watts,
      joules: state.joules + interval.joules,
      unknownSeconds: state.unknownSeconds + interval.unknownSeconds,
      samples: state.samples + (sample.watts === null ? 0 : 1),
      gapMs,
    },
  }
}

const unknown = (seconds: number): Interval => ({ seconds, joules: 0, unknownSeconds: seconds, samplingVariance: 0 })

function between(before: number | null, { watts }: Sample, seconds: number): Interval {
  if (before === null || watts === null) return unknown(seconds)
  // A step of the load at a uniformly random moment: the trapezoid's error is uniform within ± half the step.
  const samplingVariance = ((watts - before) * seconds) ** 2 / 12
  return { seconds, joules: ((before + watts) / 2) * seconds, unknownSeconds: 0, samplingVariance }
}
