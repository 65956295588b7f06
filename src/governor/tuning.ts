/** The constants of the law. Times in milliseconds of the monotonic clock. */
export const tuning = {
  /** Kept free under the budget: sensor steps (0.4 W on AGX) and the model's error must fit in it. */
  marginShare: 0.02,
  marginWatts: 0.3,
  /** One rung up per dwell; the way down is immediate. */
  raiseDwellMs: 1000,
  /** Idle is entered this long after the last request (deap.md §7: clocks down after about 200 ms). */
  idleAfterMs: 300,
  /** A reading this soon after a clock change may still show the clock before: sensors refresh every 45 ms. */
  settleMs: 100,
  /** How long a cap that went over the budget is not tried again; doubles up to the most. */
  barMs: 5000,
  barMostMs: 60_000,
  /** Distance to the throttle point at which the cap steps down, and at which it may rise again. */
  thermalMarginKelvin: 5,
  thermalReleaseKelvin: 8,
  /** Least busy part of an interval from which the correction learns, and its gains up (unsafe side) and down. */
  learnBusyShare: 0.8,
  gainUp: 0.5,
  gainDown: 0.1,
  correctionLeast: 0.3,
  correctionMost: 3,
  dutyLeast: 0.05,
} as const

/** Watts the law aims for under a budget. */
export function aimWatts(budgetWatts: number): number {
  return budgetWatts - Math.max(tuning.marginWatts, tuning.marginShare * budgetWatts)
}
