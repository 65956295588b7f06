/** How far an import is; every phase counts to its own total. */
export interface Progress {
  /** measure: order the channels; check: what an interrupted run left; write: quantise and write. */
  readonly phase: 'measure' | 'check' | 'write'
  readonly doneWeights: number
  readonly totalWeights: number
}

export type OnProgress = ((progress: Progress) => void) | undefined

/** A counter for jobs of these sizes, told the number of each job that is done. */
export function tally(
  phase: Progress['phase'],
  weights: readonly number[],
  onProgress: OnProgress,
): (job: number) => void {
  const totalWeights = weights.reduce((a, b) => a + b, 0)
  let doneWeights = 0
  return (job) => {
    doneWeights += weights[job]
    onProgress?.({ phase, doneWeights, totalWeights })
  }
}
