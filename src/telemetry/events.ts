import type { Snapshot } from './snapshot.ts'

/** One row per thing a fleet should hear about once: `of` says what happened between two snapshots, or null. */
export interface EventRow {
  readonly type: string
  /** No more than one in this many milliseconds; what happens in between is in the next one. */
  readonly gapMs: number
  readonly of: (before: Snapshot, now: Snapshot) => Readonly<Record<string, unknown>> | null
}

export const eventRows: readonly EventRow[] = [
  {
    type: 'budget_changed',
    gapMs: 1000,
    of: ({ power: before }, { power: now }) =>
      before.budgetWatts === now.budgetWatts &&
      before.budgetSource === now.budgetSource &&
      before.leaseUntil === now.leaseUntil
        ? null
        : { budget_watts: now.budgetWatts, budget_source: now.budgetSource, lease_until: now.leaseUntil },
  },
  {
    type: 'budget_breach',
    gapMs: 10_000,
    of: ({ power: before }, { power: now }) =>
      now.secondsOverBudget <= before.secondsOverBudget
        ? null
        : {
            seconds_over_budget: now.secondsOverBudget,
            new_seconds: now.secondsOverBudget - before.secondsOverBudget,
            total_watts: now.totalWatts,
            budget_watts: now.budgetWatts,
          },
  },
  {
    type: 'clock_drift',
    gapMs: 10_000,
    of: ({ clocks: before }, { clocks: now }) =>
      now.drifts <= before.drifts ? null : { drifts: now.drifts, gpu_cap_applied_hz: now.gpuCapAppliedHz },
  },
  {
    type: 'engine_state',
    gapMs: 1000,
    of: ({ engine: before }, { engine: now }) =>
      before.state === now.state && before.restarts === now.restarts
        ? null
        : { state: now.state, before: before.state, restarts: now.restarts, detail: now.detail },
  },
  {
    type: 'brown_out',
    gapMs: 1000,
    of: ({ governor: before }, { governor: now }) =>
      before.degraded === now.degraded
        ? null
        : { degraded: now.degraded, level: now.level, explanation: now.explanation },
  },
  {
    type: 'certificate',
    gapMs: 1000,
    of: ({ certificate: before }, { certificate: now }) =>
      before.state === now.state
        ? null
        : {
            state: now.state,
            before: before.state,
            explanation: now.explanation,
            shadows: now.shadows,
            differing: now.differing,
          },
  },
]
