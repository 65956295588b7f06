import type { Board } from '../board/types.ts'

/** The twin's priors are good to ±40 % (hardware.md §4.6): that, not sensor noise, is what a simulated figure is worth. */
const priorShare = 0.4

/** Two standard deviations. */
const coverage = 2

/** Uncertainty of a simulated figure against the real board it stands for. */
export function simulatedUncertainty(joules: number): number {
  return priorShare * joules
}

/**
 * Uncertainty of a measured figure from the steps of the sensors: each sample of a rail is uniform within one step, and
 * errors of different samples and rails are independent. One sample or less counts as one.
 */
export function measuredUncertainty(board: Board, seconds: number, samples: number): number {
  const rails = board.rails.filter((rail) => board.total.rails.includes(rail.label))
  const wattsVariance = rails.reduce((total, rail) => total + rail.stepWatts ** 2 / 12, 0)
  return coverage * seconds * Math.sqrt(wattsVariance / Math.max(1, samples))
}

/** From the variance (J²) of not knowing when the load changed between samples. */
export function samplingUncertainty(variance: number): number {
  return coverage * Math.sqrt(variance)
}

/** Gain of the monitor and tolerance of its shunt. Assumed, 1 %: it is the same for every sample and does not average out. */
const gainShare = 0.01

export function gainUncertainty(joules: number): number {
  return gainShare * joules
}
