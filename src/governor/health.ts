import { expected, variance } from './kalman.ts'
import { driftOf, noiseOf, type Plant } from './plant.ts'
import { tuning } from './tuning.ts'
import type { Inputs } from './types.ts'

export type Fault =
  | 'telemetry_missing'
  | 'telemetry_stale'
  | 'telemetry_stuck'
  | 'telemetry_implausible'
  | 'telemetry_drift'

/** What is known of the sensor itself. */
export interface Health {
  readonly fault: Fault | null
  /** When the last unsound reading was seen. */
  readonly unsoundAtMs: number
  readonly readAtMs: number
  readonly watts: number | null
  /** Since when the reading has been the same, how many readings that are, and between what the expectation moved. */
  readonly sameSinceMs: number
  readonly sameCount: number
  readonly leastExpected: number
  readonly mostExpected: number
  readonly implausibleSinceMs: number | null
  /** Since when the sensor has been suspected of reading too low against what was known of the plant, and when it last did. */
  readonly driftSinceMs: number | null
  readonly driftSeenAtMs: number
  /** True for the one step in which everything learned is given up. */
  readonly relearn: boolean
}

export const unread: Health = {
  fault: 'telemetry_missing',
  unsoundAtMs: Number.NEGATIVE_INFINITY,
  readAtMs: Number.NEGATIVE_INFINITY,
  watts: null,
  sameSinceMs: 0,
  sameCount: 0,
  leastExpected: Number.POSITIVE_INFINITY,
  mostExpected: Number.NEGATIVE_INFINITY,
  implausibleSinceMs: null,
  driftSinceMs: null,
  driftSeenAtMs: Number.NEGATIVE_INFINITY,
  relearn: false,
}

export interface Seen {
  readonly features: readonly number[]
  readonly unevenWatts: number
}

/** Judges the reading against what the plant should draw. A fault lasts until readings have been sound for a while. */
export function judge(before: Health, plant: Plant, inputs: Inputs, seen: Seen | null): Health {
  const { atMs, reading, limits } = inputs
  const health = { ...before, relearn: false }
  if (reading === null || reading.totalWatts === null || !Number.isFinite(reading.totalWatts)) {
    return { ...health, fault: 'telemetry_missing', unsoundAtMs: atMs }
  }
  if (atMs - reading.atMs > limits.staleAfterMs) return { ...health, fault: 'telemetry_stale', unsoundAtMs: atMs }
  if (reading.atMs <= before.readAtMs || seen === null) return recovered(health, atMs)
  const watts = reading.totalWatts
  const should = expected(plant.fast, seen.features)
  const followed = {
    ...health,
    ...repetition(before, reading.atMs, watts, seen.unevenWatts < tuning.evenWatts ? should : null),
    readAtMs: reading.atMs,
    watts,
  }
  const implausibleSinceMs = implausible(plant, seen, watts, should) ? (before.implausibleSinceMs ?? atMs) : null
  const judged = { ...followed, implausibleSinceMs }
  const fault = stuck(judged) ? 'telemetry_stuck' : implausibleSinceMs !== null ? 'telemetry_implausible' : null
  if (fault === 'telemetry_implausible' && atMs - (implausibleSinceMs ?? atMs) >= tuning.relearnMs) {
    return { ...judged, fault, unsoundAtMs: atMs, implausibleSinceMs: null, relearn: true }
  }
  if (fault !== null) return { ...judged, fault, unsoundAtMs: atMs }
  if (drifts(before, plant, seen, watts)) {
    const driftSinceMs = before.driftSinceMs ?? atMs
    // A change that lasts is the plant's own.
    if (atMs - driftSinceMs >= tuning.driftAcceptedMs)
      return { ...recovered(judged, atMs), driftSinceMs: null, relearn: true }
    return { ...judged, fault: 'telemetry_drift', unsoundAtMs: atMs, driftSinceMs, driftSeenAtMs: atMs }
  }
  const trusted = atMs - before.driftSeenAtMs >= tuning.driftOverMs
  return { ...recovered(judged, atMs), driftSinceMs: trusted ? null : before.driftSinceMs }
}

/** Begins when the plant seems to have become much thriftier; ends when readings are again what they were. */
function drifts(before: Health, plant: Plant, { features, unevenWatts }: Seen, watts: number): boolean {
  if (before.fault !== 'telemetry_drift') return driftOf(plant, features) < -tuning.driftShare
  // At the safest point the plant may be less well known than where it ran, and the load may move under the reading.
  const doubt = tuning.doubt * Math.sqrt(variance(plant.slow, features)) + unevenWatts
  return watts < (1 - tuning.driftOverShare) * expected(plant.slow, features) - doubt
}

function recovered(health: Health, atMs: number): Health {
  return health.fault !== null && atMs - health.unsoundAtMs < tuning.soundMs ? health : { ...health, fault: null }
}

/** How long the figure has been the same, and what was expected of it meanwhile (null while the load moved). */
function repetition(before: Health, readAtMs: number, watts: number, should: number | null) {
  const same = watts === before.watts
  const least = same ? before.leastExpected : Number.POSITIVE_INFINITY
  const most = same ? before.mostExpected : Number.NEGATIVE_INFINITY
  return {
    sameSinceMs: same ? before.sameSinceMs : readAtMs,
    sameCount: same ? before.sameCount + 1 : 1,
    leastExpected: Math.min(least, should ?? least),
    mostExpected: Math.max(most, should ?? most),
  }
}

/** The same figure again and again although the load has changed since it was first read. */
function stuck(health: Health): boolean {
  const moved = health.mostExpected - health.leastExpected
  const enough = Math.max(tuning.stuckWatts, tuning.stuckShare * health.mostExpected)
  return health.sameCount >= 3 && health.readAtMs - health.sameSinceMs >= tuning.stuckMs && moved > enough
}

function implausible(plant: Plant, { features, unevenWatts }: Seen, watts: number, should: number): boolean {
  if (watts < 0) return true
  const deviation = Math.sqrt(variance(plant.fast, features) + noiseOf(watts, unevenWatts))
  const most = Math.max(
    tuning.implausibleDeviations * deviation,
    tuning.implausibleShare * should,
    tuning.implausibleWatts,
  )
  return Math.abs(watts - should) > most
}
