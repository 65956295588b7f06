/** The constants of the law. Times in milliseconds of the monotonic clock. */
export const tuning = {
  /** Kept free under the budget: sensor steps (0.4 W on AGX) and what the model still does not know must fit in it. */
  marginShare: 0.015,
  marginWatts: 0.3,
  /** Deviations of the prediction that must fit under the budget too, and the least deviation it is trusted to have. */
  doubt: 3,
  doubtLeastWatts: 0.1,
  /** One rung up per dwell; the way down is immediate. */
  raiseDwellMs: 500,
  /** Idle is entered this long after the last request (deap.md §7: clocks down after about 200 ms). */
  idleAfterMs: 300,
  /** What a reading shows: the sensor's 45 ms mean, read up to 45 ms after it was ready. Longer intervals are not kept. */
  windowMs: 95,
  windowKeptMs: 400,
  /** A step this long after the one before comes late (50 ms are due under load): it judges no sensor by what ran. */
  lateMs: 75,
  /** A reading is judged when it is known what ran under it, or after this long. */
  waitMs: 250,
  /** How long a cap that went over the budget is not tried again; doubles up to the most. */
  barMs: 5000,
  barMostMs: 60_000,
  /** The same for a cap under which the board counted over-current events. */
  overCurrentBarMs: 30_000,
  overCurrentBarMostMs: 600_000,
  /** Distance to the throttle point at which the cap steps down, and at which it may rise again. */
  thermalMarginKelvin: 5,
  thermalReleaseKelvin: 8,
  thermalDwellMs: 1000,
  /** Bounds of the learned multipliers, and the noise of a reading in watts and as a share. */
  multiplierLeast: 0.2,
  multiplierMost: 4,
  multiplierDoubt: 0.05,
  noiseWatts: 0.25,
  noiseShare: 0.01,
  unevenShare: 0.5,
  /** Deviations of a part's multiplier per square root of a second that make the slow estimate. */
  slowWander: 1e-9,
  /** The slow estimate is never undercut by more: a sensor that drifts low would otherwise be believed. */
  thriftShare: 0.985,
  slowNoise: 16,
  doubtfulNoise: 1600,
  driftShare: 0.1,
  driftOverShare: 0.08,
  driftDeviations: 5,
  driftInformedSeconds: 30,
  driftAcceptedMs: 300_000,
  /** After this long without another finding a sensor that drifted teaches again what others are held against. */
  driftOverMs: 30_000,
  /** A reading this far from the expectation is a fault of the sensor, or a load that nobody told us of. */
  implausibleDeviations: 6,
  implausibleShare: 0.35,
  implausibleWatts: 4,
  /** After this long the sensor is believed and everything is learned again from below. */
  relearnMs: 5000,
  /** A reading that stays the same although the expectation moved by so much is stuck. */
  stuckMs: 200,
  stuckWatts: 2.5,
  evenWatts: 1,
  stuckShare: 0.06,
  /** A reading that stays the same under an even load is tested by a lower cap for a moment. */
  probeAfterMs: 500,
  probeMs: 200,
  probeWatts: 3.5,
  probeSourceStaleMs: 600,
  /** Readings must be sound again for this long after a fault. */
  soundMs: 300,
  /** How fast measured step times are believed, and their bounds against the model. */
  paceGain: 0.2,
  paceLeast: 0.1,
  paceMost: 30,
  /** A thriftier point must save this much before a phase leaves the one it has. */
  worthShare: 0.01,
  latencySlackShare: 0.02,
  /** Low pass of the backlog. */
  backlogMs: 3000,
  /** A board that does not take the cap gets this long: its clock file may be one refresh old. */
  refusedMs: 45,
  dutyLeast: 0.05,
  /** Bounds of a prompt chunk, and the seconds it should take at most: an excursion may last 0.2 s. */
  chunkLeastTokens: 16,
  chunkMostTokens: 256,
  chunkSeconds: 0.17,
} as const

/** Watts the law aims for under a budget. */
export function aimWatts(budgetWatts: number): number {
  return budgetWatts - Math.max(tuning.marginWatts, tuning.marginShare * budgetWatts)
}
