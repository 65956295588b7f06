import type { PowerModel } from '../board/types.ts'
import type { Work } from '../board/work.ts'

/** What the governor may move: the ladder of GPU caps and the levels of the loaded model. */
export interface Ladder {
  /** GPU caps in Hz, ascending. */
  readonly gpuHz: readonly number[]
  /** Share of weight bytes per level, ascending; the last is 1. */
  readonly shares: readonly number[]
}

export interface Limits {
  readonly budgetWatts: number
  readonly throttleCelsius: number
  /** Readings older than this are not steered by (PowerSource.staleAfterMs). */
  readonly staleAfterMs: number
}

/** Everything one step may look at. Times are monotonic milliseconds passed in; nothing is read from a clock. */
export interface Inputs {
  readonly atMs: number
  readonly ladder: Ladder
  readonly limits: Limits
  readonly model: PowerModel
  /** Module watts and when they were read; null when the sensors do not know. */
  readonly reading: {
    readonly atMs: number
    readonly totalWatts: number | null
    readonly tjCelsius: number | null
  } | null
  /** What the engine is doing: work that ran since the last step, and the full-level cost of one decode token. */
  readonly load: {
    readonly active: number
    readonly queued: number
    /** Seconds of prefill and decode work since the last step, and how long that was. */
    readonly prefillSeconds: number
    readonly decodeSeconds: number
    readonly intervalSeconds: number
    readonly decodeWork: Work
    readonly prefillWork: Work
  }
}

/** Machine-readable reasons, one row each in reasons.ts. */
export type Reason =
  | 'start'
  | 'idle'
  | 'within_budget'
  | 'over_budget'
  | 'predicted_over_budget'
  | 'budget_changed'
  | 'recovering'
  | 'dwell'
  | 'brown_out'
  | 'telemetry_missing'
  | 'telemetry_stale'
  | 'thermal'

export interface Decision {
  readonly gpuHz: number
  /** Highest level any request may use: the full level unless the budget cannot be met by clocks alone (brown-out). */
  readonly capLevel: number
  /** Level for requests that allow any (`eco`). */
  readonly ecoLevel: number
  /**
   * Part of the time (0..1] in which the engine may be busy: 1 unless the lowest clock is still too much. A smaller level
   * makes steps shorter, not weaker, so below the lowest clock only pauses between steps save watts; the cap level falls
   * with them so that the pace of tokens holds.
   */
  readonly duty: number
  readonly reason: Reason
  /** One sentence with the figures, for the page and the log. */
  readonly explanation: string
  readonly predictedWatts: number
}

export interface GovernorState {
  readonly decision: Decision
  /** Measured over predicted watts, low-passed: the online correction of the power model. */
  readonly correction: number
  /** When the GPU cap last changed, and when it was last raised in steps. */
  readonly changedAtMs: number
  readonly raisedAtMs: number
  /** When the cap level last changed. */
  readonly levelAtMs: number
  /** When a request was last active or queued. */
  readonly busyAtMs: number
  /** True while nothing runs and the sensors are sound: the cap may then go straight to the feasible point. */
  readonly idle: boolean
  readonly budgetWatts: number
  readonly overSinceMs: number | null
  /** A cap that turned out too high: not tried again before `untilMs`; `holdMs` doubles when it fails again. */
  readonly barred: { readonly hz: number; readonly untilMs: number; readonly holdMs: number } | null
  /** Highest cap the temperature allows, and when that last moved. */
  readonly thermalHz: number
  readonly thermalAtMs: number
}
