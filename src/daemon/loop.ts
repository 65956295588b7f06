import type { Reading } from '../board/reading.ts'
import type { Applied } from '../clocks/capped.ts'
import { monotonicMs } from '../engine/protocol.ts'
import type { DeapdError } from '../errors.ts'
import { initialState } from '../governor/initial.ts'
import { step } from '../governor/step.ts'
import type { Decision, GovernorState, Ladder } from '../governor/types.ts'
import { addToWindow, type BudgetWindow, emptyWindow } from './budget-window.ts'
import { atStart, loadPeriodMs, nextCadence } from './cadence.ts'
import { powerToSpare } from './certificate.ts'
import { type InputPorts, inputsOf } from './inputs.ts'
import { createNap } from './nap.ts'

export interface LoopPorts extends InputPorts {
  readonly shares: readonly number[]
  /** True where the CPU does the engine's arithmetic: then its clock is not ours to lower. */
  readonly computesOnCpu: boolean
  /** Everything seen and decided in one tick; the snapshot is made of it. */
  readonly onTick: (tick: Tick) => void
  readonly onFault: (fault: DeapdError | Error) => void
}

export interface Tick {
  readonly atMs: number
  readonly reading: Reading
  readonly decision: Decision
  readonly gpuHz: number | null
  readonly cpuHz: number | null
  /** What became of the decision on the board. */
  readonly applied: Applied
  readonly ticks: number
  /** Longest time between two ticks where the second was due within a load period. */
  readonly longestGapMs: number
  readonly secondsOverBudget: number
}

export interface Loop {
  /** Makes the next tick come at once: a request that arrives at the idle clock should not wait for it. */
  wake(): void
  /** Sensors that send by themselves have sent: under load it is looked at now and not at the next tick. */
  news(): void
  /** Milliseconds between two ticks at the moment. */
  periodMs(): number
  stop(): Promise<void>
}

/** Sense, decide, act, tell, whatever the engine does; how often is in cadence.ts. Resolves after the first tick. */
export async function startLoop(ports: LoopPorts): Promise<Loop> {
  const { board, source, clocks, engine, accountant, budget, shares } = ports
  const nap = createNap()
  let stopping = false
  let cadence = atStart(monotonicMs())
  const ladder: Ladder = {
    gpuHz: clocks.gpu?.pointsHz ?? board.gpu.pointsHz,
    cpuHz: ports.computesOnCpu ? null : (clocks.cpu?.pointsHz ?? null),
    shares,
  }
  let state: GovernorState = initialState({
    atMs: monotonicMs(),
    ladder,
    budgetWatts: budget.get().watts,
    idleWatts: board.model.idleWatts,
  })
  // Read back with every order; before the first one nothing is known of it.
  let gpuCapHz: number | null = null
  let lastMs = monotonicMs()
  let ticks = 0
  let longestGapMs = 0
  let window: BudgetWindow = emptyWindow
  let lastKnown: Reading | null = null
  const told: Record<string, string | undefined> = {}

  /** Clock faults do not stop the loop; the same one is reported once. */
  const report = ({ gpu, cpu, cores }: Applied): void => {
    for (const [name, limit] of Object.entries({ gpu, cpu, cores })) {
      const fault = limit?.fault ?? null
      if (fault !== null && fault.message !== told[name]) ports.onFault(fault)
      told[name] = fault?.message
    }
  }

  /**
   * What the governor steers by: the last known total while it is fresh enough. A file that was read while somebody wrote
   * it is no reason to drop the clock; one that stays away soon is.
   */
  const steerable = (reading: Reading): Reading => {
    if (reading.totalWatts !== null) lastKnown = reading
    const held = lastKnown !== null && reading.atMs - lastKnown.atMs <= source.staleAfterMs ? lastKnown : null
    if (reading.totalWatts !== null || held === null) return reading
    const { atMs, railWatts, totalWatts, totalWattsReason } = held
    return { ...reading, atMs, railWatts, totalWatts, totalWattsReason }
  }

  const tick = async (): Promise<void> => {
    const atMs = monotonicMs()
    const intervalSeconds = (atMs - lastMs) / 1000
    if (ticks > 0 && cadence.periodMs === loadPeriodMs) longestGapMs = Math.max(longestGapMs, atMs - lastMs)
    budget.expire(new Date())
    const reading = await source.read(atMs)
    const inputs = inputsOf(ports, { fromMs: lastMs, atMs, ladder, state, reading: steerable(reading), gpuCapHz })
    const stepped = step(state, inputs)
    state = stepped.state
    const { decision } = stepped
    const applied = clocks.apply(decision, atMs)
    gpuCapHz = applied.gpu?.value ?? null
    report(applied)
    engine.setOrder({ ...decision, shadows: powerToSpare(decision, shares.length - 1) })
    accountant.settle(atMs, reading)
    const { watts: budgetWatts } = budget.get()
    window = addToWindow(window, { atMs, seconds: intervalSeconds, watts: reading.totalWatts }, budgetWatts)
    const { active, queued, state: engineState } = engine.status()
    cadence = nextCadence(cadence, atMs, {
      requests: active + queued,
      engineChanging: engineState === 'starting' || engineState === 'restarting',
      overBudget: (reading.totalWatts ?? 0) > budgetWatts,
      clocksMoving: Object.values(applied).some((limit) => limit?.wrote),
    })
    lastMs = atMs
    ticks++
    const gpuHz = clocks.gpu?.currentHz() ?? null
    const cpuHz = clocks.cpu?.currentHz() ?? null
    const secondsOverBudget = window.secondsOver
    ports.onTick({ atMs, reading, decision, gpuHz, cpuHz, applied, ticks, longestGapMs, secondsOverBudget })
  }

  const run = async (): Promise<void> => {
    let dueMs = monotonicMs()
    for (; !stopping; await tick()) {
      // Fixed rate; after a stall the missed ticks are not made up for.
      dueMs = Math.max(dueMs + cadence.periodMs, monotonicMs())
      if (await nap.take(dueMs - monotonicMs())) dueMs = monotonicMs()
    }
  }
  await tick()
  const running = run().catch((error) => {
    ports.onFault(error instanceof Error ? error : new Error(String(error)))
    // Without its loop the daemon keeps no promise: end, and let the service manager start it again.
    throw error
  })
  return {
    wake: nap.wake,
    news: () => {
      if (cadence.periodMs === loadPeriodMs) nap.wake()
    },
    periodMs: () => cadence.periodMs,
    async stop() {
      stopping = true
      nap.wake()
      await running
    },
  }
}
