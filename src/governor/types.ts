import type { PowerModel } from '../board/types.ts'
import type { Work } from '../board/work.ts'
import type { Health } from './health.ts'
import type { Pace } from './pace.ts'
import type { Plant } from './plant.ts'
import type { Interval } from './window.ts'

/** What the governor may move: the ladder of GPU caps and the levels of the loaded model. */
export interface Ladder {
  /** GPU caps in Hz, ascending. */
  readonly gpuHz: readonly number[]
  /** CPU caps in Hz, ascending; null where the CPU is not ours to cap: it does the engine's work itself, or has no clock. */
  readonly cpuHz: readonly number[] | null
  /** Share of weight bytes per level, ascending; the last is 1. */
  readonly shares: readonly number[]
}

/** A point somebody pinned by hand. It never lifts a limit: budget, heat and sensors still win. */
export interface Hold {
  readonly gpuHz: number | null
  readonly level: number | null
}

export interface Limits {
  /** The tightest of the board's, the operator's and the fleet's budget. */
  readonly budgetWatts: number
  readonly throttleCelsius: number
  /** Readings older than this are not steered by (PowerSource.staleAfterMs). */
  readonly staleAfterMs: number
  /** Seconds one answer may wait for its next token; 0 asks for the fastest point within the budget. */
  readonly tokenSeconds: number
  /** Seconds in which the prompts that wait should be read. */
  readonly firstTokenSeconds: number
  /** Answers the engine can make at the same time. */
  readonly maxSequences: number
  readonly hold: Hold | null
}

/** What the sensors said. */
export interface Sensed {
  readonly atMs: number
  /** Module watts; null when the sensors do not know. */
  readonly totalWatts: number | null
  readonly tjCelsius: number | null
  /** Over-current events since boot; null when the board does not count them. */
  readonly overCurrentEvents?: number | null
  /** True while the board throttles by itself (a cooling device is active). */
  readonly throttling?: boolean
}

/** One kind of engine work: how it looks now, how long a step of it took lately, and how much of it ran. */
export interface PhaseLoad {
  /** One step at the full level as it would be now. */
  readonly work: Work
  /** Seconds in which such steps ran since the last decision. */
  readonly seconds: number
  /** Measured seconds of the last whole step at an unchanged clock; null when there was none. */
  readonly stepSeconds: number | null
}

/** What ran in a stretch between two decisions. */
export interface Ran {
  readonly decodeSeconds: number
  readonly prefillSeconds: number
  /** True where the sensors cannot show it as it was: a simulated board hears of a run no sooner than we do. */
  readonly late: boolean
}

/** How far the engine's word goes: a run is told of when it is computed, and may have begun long before. */
export interface Told {
  /** All that ran before is known; what runs since may be told later. */
  readonly untilMs: number
  /** The last stretch (whose seconds are those of the phases), and those of `GovernorState.recent` by what is known now. */
  readonly late: boolean
  readonly earlier: readonly Ran[]
}

export interface Load {
  readonly active: number
  readonly queued: number
  /** Answers under way whose prompt is not read yet, and the prompt tokens that wait (queued ones included). */
  readonly prefilling: number
  readonly promptTokens: number
  /** Mean bytes of keys and values that each decoding answer adds to a step. */
  readonly sequenceBytes: number
  readonly decode: PhaseLoad
  readonly prefill: PhaseLoad & { readonly tokens: number }
  readonly intervalSeconds: number
  /** Null where all is told while it runs. */
  readonly told: Told | null
}

/** Everything one step may look at. Times are monotonic milliseconds passed in; nothing is read from a clock. */
export interface Inputs {
  readonly atMs: number
  readonly ladder: Ladder
  readonly limits: Limits
  readonly model: PowerModel
  readonly reading: Sensed | null
  /** The GPU cap that the board has, read back after the last decision; null when it has none to read. */
  readonly gpuCapHz: number | null
  readonly load: Load
}

/** Machine-readable reasons, one row each in reasons.ts. */
export type Reason =
  | 'start'
  | 'idle'
  | 'within_budget'
  | 'least_energy'
  | 'latency_target'
  | 'over_budget'
  | 'predicted_over_budget'
  | 'budget_changed'
  | 'recovering'
  | 'dwell'
  | 'brown_out'
  | 'telemetry_missing'
  | 'telemetry_stale'
  | 'telemetry_stuck'
  | 'telemetry_implausible'
  | 'telemetry_drift'
  | 'probe'
  | 'thermal'
  | 'over_current'
  | 'clock_refused'
  | 'hold'

export interface Decision {
  readonly gpuHz: number
  /** CPU cap in Hz; null leaves the board's own. */
  readonly cpuHz: number | null
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
  /** Answers to make at the same time. */
  readonly concurrency: number
  /** Prompt tokens to run at once. */
  readonly prefillChunk: number
  readonly reason: Reason
  /** Everything that is not as it should be, besides the reason of the last move; alarms are made of it. */
  readonly conditions: readonly Reason[]
  /** One sentence with the figures, for the page and the log. */
  readonly explanation: string
  readonly predictedWatts: number
}

export type Phase = 'decode' | 'prefill'

/** How high a phase may go: down at once, up by one rung per dwell. */
export interface Ceiling {
  readonly rung: number
  readonly raisedAtMs: number
}

/** A cap that turned out too high: not tried again before `untilMs`; `holdMs` doubles when it fails again. */
export interface Bar {
  readonly hz: number
  readonly untilMs: number
  readonly holdMs: number
}

/** A test of a reading that does not move: a lower cap for a moment. */
export interface Probe {
  readonly rung: number
  readonly untilMs: number
}

export interface GovernorState {
  readonly decision: Decision
  readonly atMs: number
  /** The clock the board really ran at since the last decision. */
  readonly gpuHz: number
  /** When that clock last changed, when the cap level did, and when a request was last there. */
  readonly changedAtMs: number
  readonly levelAtMs: number
  readonly busyAtMs: number
  readonly idle: boolean
  readonly budgetWatts: number
  readonly ceilings: Readonly<Record<Phase, Ceiling>>
  /** What the plant turned out to be, and what the last second looked like. */
  readonly plant: Plant
  readonly pace: Pace
  readonly recent: readonly Interval[]
  /** Readings that are judged when it is known what ran under them. */
  readonly waiting: readonly Sensed[]
  readonly health: Health
  /** Part of the time, low-passed, in which requests had to wait: then a faster step is worth its idle watts. */
  readonly backlog: number
  readonly barred: Bar | null
  readonly overCurrent: Bar | null
  readonly overCurrentEvents: number | null
  /** Highest rung the temperature allows, and when that last moved. */
  readonly thermalRung: number
  readonly thermalAtMs: number
  /** Since when the board's cap has been above the one decided; null while it obeys. */
  readonly refusedAtMs: number | null
  /** The rung each phase asked for last. */
  readonly wanted: Readonly<Record<Phase, number>>
  readonly probe: Probe
}
