/** The measures of DEAP's paper, with the definitions that it leaves out (reference of each in its comment). */

/** Joules spent for one right answer; null where none was right. */
export const joulesPerCorrect = (joules: number, correct: number): number | null =>
  correct > 0 ? joules / correct : null

/**
 * The paper's Efficiency Ratio: percent of accuracy per joule of one inference. It rewards a model that spends nothing and
 * knows nothing, so it is printed for comparison with the paper and used for no verdict.
 */
export const efficiencyRatio = (accuracyPercent: number, joulesPerInference: number): number =>
  accuracyPercent / joulesPerInference

export interface Conversion {
  /** Energy of the same work at the board's best clock over the energy spent: what board and power state leave unused. */
  readonly hardware: number
  /** Weight bytes per token of the dense network over those of this one: what the algorithm saves; above 1 with levels or drafts. */
  readonly algorithm: number
  /** Accuracy kept, at most 1; 0 when the loss is not within the margin. */
  readonly quality: number
  readonly efficiency: number
}

/**
 * Energy Conversion Efficiency, which the paper names and does not define. Ours: hardware · algorithm · quality. The dense
 * network at the best clock has 1.
 */
export function energyConversion(of: {
  readonly idealJoules: number
  readonly joules: number
  readonly denseBytesPerToken: number
  readonly bytesPerToken: number
  readonly accuracy: number
  readonly denseAccuracy: number
  readonly withinMargin: boolean
}): Conversion {
  const hardware = of.idealJoules / of.joules
  const algorithm = of.denseBytesPerToken / of.bytesPerToken
  const kept = of.denseAccuracy > 0 ? of.accuracy / of.denseAccuracy : 0
  const quality = of.withinMargin ? Math.min(1, kept) : 0
  return { hardware, algorithm, quality, efficiency: hardware * algorithm * quality }
}
