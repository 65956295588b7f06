import type { PowerModel } from '../board/types.ts'
import { idleFeatures, prior, wander } from './features.ts'
import { type Estimate, expected, forget, learn, variance } from './kalman.ts'
import { tuning } from './tuning.ts'

/**
 * What is known of the plant, twice: the fast estimate follows within seconds and steers; the slow one needs minutes and
 * is what the fast one is held against, so that a sensor that drifts cannot talk the law into more than it should do.
 */
export interface Plant {
  readonly fast: Estimate
  readonly slow: Estimate
  /** Seconds of work that were learned from. */
  readonly informedSeconds: number
}

export const freshPlant: Plant = { fast: prior, slow: prior, informedSeconds: 0 }

const slowWander = wander.map(() => tuning.slowWander)
const bounds = { least: tuning.multiplierLeast, most: tuning.multiplierMost, doubt: tuning.multiplierDoubt }

/** Takes in a sound reading of a stretch with these features. */
export function learnPlant(
  plant: Plant,
  reading: {
    readonly watts: number
    readonly features: readonly number[]
    readonly unevenWatts: number
    readonly seconds: number
    /** True while the sensor is suspected of a drift: it may steer below what was known, and change nothing of that. */
    readonly suspected: boolean
  },
): Plant {
  const { watts, features, unevenWatts, seconds, suspected } = reading
  const noise = noiseOf(watts, unevenWatts)
  // What looks like a thriftier plant may be a sensor on its way down: it is learned much more slowly.
  const doubtful = driftOf(plant, features) < tuning.thriftShare - 1 ? tuning.doubtfulNoise : tuning.slowNoise
  const busy = features.some((feature, i) => i > 0 && feature > 0)
  return {
    fast: learn(forget(plant.fast, seconds, wander, prior), features, watts, noise, bounds),
    slow: suspected
      ? plant.slow
      : learn(forget(plant.slow, seconds, slowWander, prior), features, watts, doubtful * noise, bounds),
    informedSeconds: plant.informedSeconds + (busy ? seconds : 0),
  }
}

/** The plant as it was known before the fast estimate was misled. */
export function backToSlow(plant: Plant): Plant {
  return { ...plant, fast: plant.slow }
}

/** Variance of a reading, watts²: the sensor's steps, its gain, and a load that moved under it. */
export function noiseOf(watts: number, unevenWatts: number): number {
  return tuning.noiseWatts ** 2 + (tuning.noiseShare * watts) ** 2 + (tuning.unevenShare * unevenWatts) ** 2
}

/** Watts to be expected, and the most they should turn out to be. */
export function predict(
  plant: Plant,
  features: readonly number[],
): { readonly watts: number; readonly mostWatts: number } {
  const watts = Math.max(expected(plant.fast, features), tuning.thriftShare * expected(plant.slow, features))
  const doubt = Math.sqrt(variance(plant.fast, features) + tuning.doubtLeastWatts ** 2)
  return { watts, mostWatts: watts + tuning.doubt * doubt }
}

export function idleWatts(plant: Plant, model: PowerModel): number {
  return predict(plant, idleFeatures(model)).watts
}

/**
 * By how much the plant seems to have changed of late, as a share of the watts at these features: negative is thriftier.
 * Zero as long as the slow estimate is not sure enough of itself to tell.
 */
export function driftOf(plant: Plant, features: readonly number[]): number {
  if (plant.informedSeconds < tuning.driftInformedSeconds) return 0
  const slow = expected(plant.slow, features)
  const change = expected(plant.fast, features) - slow
  const sure = Math.abs(change) > tuning.driftDeviations * Math.sqrt(variance(plant.slow, features))
  return sure ? change / slow : 0
}
