import { setTimeout as sleep } from 'node:timers/promises'
import type { Reading } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { type ModelCost, stepWork } from '../board/work.ts'
import type { Applied, BoardClocks } from '../clocks/capped.ts'
import type { Engine } from '../engine/client.ts'
import { monotonicMs } from '../engine/protocol.ts'
import type { DeapdError } from '../errors.ts'
import { initialState } from '../governor/initial.ts'
import { step } from '../governor/step.ts'
import type { Decision, GovernorState, Ladder } from '../governor/types.ts'
import type { PowerSource } from '../power/source.ts'
import type { Accountant } from './accountant.ts'
import type { LeasedBudget } from './budget.ts'

export interface LoopPorts {
  readonly board: Board
  readonly source: PowerSource
  readonly clocks: BoardClocks
  readonly engine: Engine
  readonly accountant: Accountant
  readonly budget: LeasedBudget
  readonly shares: readonly number[]
  readonly cost: ModelCost
  /** Everything seen and decided in one tick; the snapshot is made of it. */
  readonly onTick: (tick: Tick) => void
  readonly onFault: (fault: DeapdError | Error) => void
}

export interface Tick {
  readonly atMs: number
  readonly reading: Reading
  readonly decision: Decision
  readonly gpuHz: number | null
  readonly gpuCapAppliedHz: number | null
  readonly ticks: number
  readonly longestGapMs: number
  readonly secondsOverBudget: number
}

export interface Loop {
  /** Makes the next tick come at once: a request that arrives at the idle clock should not wait for it. */
  wake(): void
  stop(): Promise<void>
}

export const tickMs = 100
/** Cached tokens assumed for the power of a decode step before the first answer shows better. */
const typicalContextTokens = 256
/** Readings of the last second: the budget is a promise about the 1 s mean (DESIGN §2). */
const windowTicks = 1000 / tickMs

/** Sense, decide, act, tell; ten times a second, whatever the engine does. Resolves after the first tick. */
export async function startLoop(ports: LoopPorts): Promise<Loop> {
  const { board, source, clocks, engine, accountant, budget, shares, cost } = ports
  const stopping = new AbortController()
  let sleeping = new AbortController()
  const ladder: Ladder = { gpuHz: clocks.gpu?.pointsHz ?? board.gpu.pointsHz, shares }
  const full = shares.length - 1
  const decodeWork = stepWork(cost, { phase: 'decode', level: full, tokens: 1, contextTokens: typicalContextTokens })
  const prefillWork = stepWork(cost, { phase: 'prefill', level: full, tokens: 64, contextTokens: 0 })
  let state: GovernorState = initialState({
    atMs: monotonicMs(),
    ladder,
    model: board.model,
    budgetWatts: budget.get().watts,
  })
  let lastMs = monotonicMs()
  let ticks = 0
  let longestGapMs = 0
  let secondsOverBudget = 0
  let recentWatts: readonly number[] = []
  const told: Record<string, string | undefined> = {}

  /** Clock faults do not stop the loop; the same one is reported once. */
  const report = ({ gpu, cpu, cores }: Applied): void => {
    for (const [name, limit] of Object.entries({ gpu, cpu, cores })) {
      const fault = limit?.fault ?? null
      if (fault !== null && fault.message !== told[name]) ports.onFault(fault)
      told[name] = fault?.message
    }
  }

  const overBudget = (reading: Reading, seconds: number): number => {
    recentWatts = reading.totalWatts === null ? [] : [...recentWatts.slice(1 - windowTicks), reading.totalWatts]
    if (recentWatts.length < windowTicks) return 0
    const mean = recentWatts.reduce((a, b) => a + b, 0) / recentWatts.length
    return mean > budget.get().watts ? seconds : 0
  }

  const tick = async (): Promise<void> => {
    const atMs = monotonicMs()
    const intervalSeconds = (atMs - lastMs) / 1000
    if (ticks > 0) longestGapMs = Math.max(longestGapMs, atMs - lastMs)
    budget.expire(new Date())
    const reading = await source.read(atMs)
    const { active, queued } = engine.status()
    const { prefillSeconds, decodeSeconds } = accountant.busy(lastMs, atMs)
    const stepped = step(state, {
      atMs,
      ladder,
      limits: {
        budgetWatts: budget.get().watts,
        throttleCelsius: board.trips.throttleCelsius,
        staleAfterMs: source.staleAfterMs,
      },
      model: board.model,
      reading,
      load: { active, queued, prefillSeconds, decodeSeconds, intervalSeconds, decodeWork, prefillWork },
    })
    state = stepped.state
    const { decision } = stepped
    const applied = clocks.apply(decision, atMs)
    report(applied)
    engine.setOrder(decision)
    accountant.settle(atMs, reading)
    secondsOverBudget += overBudget(reading, intervalSeconds)
    lastMs = atMs
    ticks++
    const gpuHz = clocks.gpu?.currentHz() ?? null
    const gpuCapAppliedHz = applied.gpu?.value ?? null
    ports.onTick({ atMs, reading, decision, gpuHz, gpuCapAppliedHz, ticks, longestGapMs, secondsOverBudget })
  }

  const run = async (): Promise<void> => {
    let nextMs = monotonicMs()
    for (; !stopping.signal.aborted; await tick()) {
      // Fixed rate; after a stall the missed ticks are not made up for.
      nextMs = Math.max(nextMs + tickMs, monotonicMs())
      const wait = nextMs - monotonicMs()
      sleeping = new AbortController()
      const signal = AbortSignal.any([stopping.signal, sleeping.signal])
      await sleep(wait, undefined, { signal }).catch(() => undefined)
      if (sleeping.signal.aborted) nextMs = monotonicMs()
    }
  }
  await tick()
  const running = run().catch((error) => {
    ports.onFault(error instanceof Error ? error : new Error(String(error)))
    // Without its loop the daemon keeps no promise: end, and let the service manager start it again.
    throw error
  })
  return {
    wake: () => sleeping.abort(),
    async stop() {
      stopping.abort()
      await running
    },
  }
}
