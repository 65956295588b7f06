import type { Reading } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import type { BoardClocks } from '../clocks/capped.ts'
import type { Engine } from '../engine/client.ts'
import type { GovernorState, Hold, Inputs, Ladder, Sensed } from '../governor/types.ts'
import type { PowerSource } from '../power/source.ts'
import type { Accountant } from './accountant.ts'
import type { LeasedBudget } from './budget.ts'
import type { Workload } from './workload.ts'

export interface InputPorts {
  readonly board: Board
  readonly source: PowerSource
  readonly clocks: BoardClocks
  readonly engine: Engine
  readonly accountant: Accountant
  readonly budget: LeasedBudget
  readonly workload: Workload
  /** Seconds per token and until the first one that the operator wants, and answers the engine can make at once. */
  readonly targets: {
    readonly tokenSeconds: number
    readonly firstTokenSeconds: number
    readonly maxSequences: number
  }
  /** A point pinned by hand; null without. */
  readonly hold: () => Hold | null
}

/** Clock files show a megahertz more or less than the point that is meant (hardware.md §3.1). */
const roundingHz = 2e6

/** What the governor may know at this moment, put together from what the parts of the daemon say. */
export function inputsOf(
  ports: InputPorts,
  now: {
    readonly fromMs: number
    readonly atMs: number
    readonly ladder: Ladder
    readonly state: GovernorState
    readonly reading: Reading
    /** The GPU cap read back after the last decision; null when there is none. */
    readonly gpuCapHz: number | null
  },
): Inputs {
  const { board, source, engine, accountant, budget, workload, targets } = ports
  const { fromMs, atMs, ladder, state, reading, gpuCapHz } = now
  const { active, queued } = engine.status()
  const { late, ...seconds } = accountant.ran(fromMs, atMs)
  return {
    atMs,
    ladder,
    limits: {
      budgetWatts: budget.get().watts,
      throttleCelsius: reading.trips.throttleCelsius,
      staleAfterMs: source.staleAfterMs,
      ...targets,
      hold: ports.hold(),
    },
    model: board.model,
    reading: sensed(reading),
    gpuCapHz: clockHz(ports.clocks, gpuCapHz),
    load: workload.load({
      fromMs,
      toMs: atMs,
      active,
      queued,
      busy: seconds,
      told: {
        // With nobody there nothing runs.
        untilMs: active + queued === 0 ? atMs : accountant.toldUntilMs(),
        late,
        earlier: state.recent.map((interval) => accountant.ran(interval.fromMs, interval.untilMs)),
      },
      prefillChunk: state.decision.prefillChunk,
      changedAtMs: state.changedAtMs,
    }),
  }
}

function sensed({ atMs, totalWatts, tjCelsius, overCurrentEvents, throttling }: Reading): Sensed {
  const events = overCurrentEvents === null ? null : Object.values(overCurrentEvents).reduce((a, b) => a + b, 0)
  return { atMs, totalWatts, tjCelsius, overCurrentEvents: events, throttling: (throttling ?? []).length > 0 }
}

/** The clock the GPU runs at under work, as far as the board tells: its cap, or more where it does not keep to it. */
function clockHz({ gpu }: BoardClocks, capHz: number | null): number | null {
  const nowHz = gpu?.currentHz() ?? null
  return capHz === null || nowHz === null || nowHz <= capHz + roundingHz ? capHz : nowHz
}
