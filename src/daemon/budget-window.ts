/** The budget is a promise about the mean over any second (DESIGN §2); samples come at any distance. */
export interface BudgetWindow {
  /** What the last second was made of, oldest first: each sample with the time it stands for. */
  readonly samples: readonly { readonly atMs: number; readonly seconds: number; readonly watts: number }[]
  readonly budgetWatts: number
  /** Seconds so far in which the mean of the second before was over the budget. */
  readonly secondsOver: number
  /** Mean watts of the last second; null until a whole one is known. */
  readonly meanWatts: number | null
}

/** Sums of milliseconds that should be a second may fall short of it by this much. */
const slackSeconds = 0.02

export const emptyWindow: BudgetWindow = { samples: [], budgetWatts: 0, secondsOver: 0, meanWatts: null }

/**
 * Adds a sample that stands for the `seconds` before it. An unknown one begins the second anew, and so does a new budget:
 * a second that was half under another promise says nothing about this one.
 */
export function addToWindow(
  before: BudgetWindow,
  sample: { readonly atMs: number; readonly seconds: number; readonly watts: number | null },
  budgetWatts: number,
): BudgetWindow {
  const { atMs, seconds, watts } = sample
  const none = { ...before, samples: [], budgetWatts, meanWatts: null }
  if (watts === null || budgetWatts !== before.budgetWatts) return none
  const kept = before.samples.filter((old) => old.atMs > atMs - 1000)
  const samples = [...kept, { atMs, seconds, watts }]
  const whole = samples.reduce((sum, one) => sum + one.seconds, 0)
  if (whole < 1 - slackSeconds) return { ...none, samples }
  // The oldest sample may reach further back than a second: only its part of it counts.
  const spare = Math.max(0, whole - 1)
  const joules = samples.reduce((sum, one) => sum + one.seconds * one.watts, 0) - spare * samples[0].watts
  const meanWatts = joules / (whole - spare)
  const over = meanWatts > budgetWatts ? seconds : 0
  return { samples, budgetWatts, secondsOver: before.secondsOver + over, meanWatts }
}
