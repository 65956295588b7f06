import type { Observed } from './observe.ts'
import { reasons } from './reasons.ts'
import type { Decision, Inputs, Reason } from './types.ts'

/** The decision in a sentence, with the figures it rests on. */
export function explain(
  state: Observed,
  { atMs, reading, limits, ladder }: Inputs,
  decision: Omit<Decision, 'explanation'>,
): string {
  return reasons[decision.reason]({
    budgetWatts: limits.budgetWatts,
    fromHz: state.gpuHz,
    toHz: decision.gpuHz,
    predictedWatts: decision.predictedWatts,
    // A fault is that of the reading judged last.
    measuredWatts: (state.health.fault === null ? reading?.totalWatts : state.health.watts) ?? null,
    expectedWatts: state.expectedWatts,
    tjCelsius: reading?.tjCelsius ?? null,
    throttleCelsius: limits.throttleCelsius,
    readingAgeMs: reading === null ? null : atMs - reading.atMs,
    duty: decision.duty,
    capLevel: decision.capLevel,
    fullLevel: ladder.shares.length - 1,
    boardHz: state.gpuHz,
    tokenSeconds: limits.tokenSeconds,
  })
}

/** The names of what holds. */
export function conditionsOf(holds: Partial<Record<Reason, boolean>>): readonly Reason[] {
  return (Object.entries(holds) as [Reason, boolean][]).filter(([, holding]) => holding).map(([reason]) => reason)
}
