import { setTimeout as sleep } from 'node:timers/promises'
import type { Board } from '../board/types.ts'
import { type ModelCost, runWork, type Work } from '../board/work.ts'
import type { Cell, CellOrder, CellRig } from '../calibrate/cells.ts'
import type { BoardClocks } from '../clocks/capped.ts'
import type { Engine } from '../engine/client.ts'
import { type GenerateRequest, greedy, monotonicMs, type StepEvent } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import type { PowerSource } from '../power/source.ts'

/** Left out at the start of a cell, as a part of the age a reading may have: clocks settle faster than sensors. */
const settleShare = 0.5
const sampleMs = 50
/** Ids of a prompt that fills one chunk; other ones each time, or they would be found in the cache. */
const promptTokens = 64

export interface BoardRigOptions {
  readonly board: Board
  readonly cost: ModelCost
  readonly vocabulary: number
  readonly source: PowerSource
  readonly clocks: BoardClocks
  readonly engine: Engine
  /** Subscribes to the engine's steps; returns the unsubscribe function. */
  readonly onStep: (listener: (step: StepEvent) => void) => () => void
  /** Called after a clock was set, for a simulated board that must learn of it. */
  readonly clockSet: () => void
}

/** Cells on a real board, with the engine that will serve on it and the adapters that will steer it. */
export function createBoardRig(options: BoardRigOptions): CellRig {
  const { board, cost, source, clocks, engine } = options
  let requests = 0

  const setClock = (gpuHz: number): number => {
    const applied = clocks.apply({ gpuHz }, monotonicMs()).gpu
    if (applied?.fault) throw applied.fault
    options.clockSet()
    return applied?.value ?? board.gpu.pointsHz[board.gpu.pointsHz.length - 1]
  }

  const requestOf = (order: Exclude<CellOrder, { kind: 'idle' }>): GenerateRequest => {
    requests += 1
    const prompt = order.kind === 'prefill' ? promptTokens : 1
    const ids = Array.from({ length: prompt }, (_, index) => (requests * 7919 + index * 104_729) % options.vocabulary)
    return {
      id: `calibrate-${requests}`,
      input: { ids },
      sampling: {
        ...greedy,
        maxTokens: order.kind === 'prefill' ? 1 : null,
        // Hot, so that an answer seldom ends by itself.
        temperature: 2,
        seed: requests,
      },
      policy: 'eco',
      level: order.kind === 'decode' ? order.level : null,
      maxJoules: null,
    }
  }

  /** Keeps the engine at it until the signal ends the cell. */
  const work = async (order: CellOrder, signal: AbortSignal): Promise<void> => {
    if (order.kind === 'idle') {
      await sleep(2 ** 31 - 1, undefined, { signal, ref: false }).catch(() => undefined)
      return
    }
    while (!signal.aborted) for await (const _ of engine.generate(requestOf(order), signal)) if (signal.aborted) break
  }

  const meanWatts = async (seconds: number, signal: AbortSignal): Promise<{ watts: number; samples: number }> => {
    let sum = 0
    const seen = new Set<number>()
    for (const endMs = monotonicMs() + seconds * 1000; monotonicMs() < endMs; ) {
      const { atMs, totalWatts, totalWattsReason } = await source.read(monotonicMs())
      if (totalWatts === null) {
        throw new DeapdError('calibration_poor', { detail: `power is unknown: ${totalWattsReason}` })
      }
      // tegrastats gives one line a second, however often it is asked.
      if (!seen.has(atMs)) sum += totalWatts
      seen.add(atMs)
      await sleep(sampleMs, undefined, { signal })
    }
    return { watts: sum / seen.size, samples: seen.size }
  }

  return {
    async run(order, seconds, signal): Promise<Cell> {
      const gpuHz = setClock(order.gpuHz)
      const steps: StepEvent[] = []
      const leave = options.onStep((step) => steps.push(step))
      const done = new AbortController()
      const working = work(order, AbortSignal.any([signal, done.signal]))
      // A failure of the engine is told when the cell is over; until then it must not count as unhandled.
      working.catch(() => done.abort())
      try {
        await sleep(settleShare * source.staleAfterMs, undefined, { signal })
        const fromMs = monotonicMs()
        const power = await meanWatts(seconds, signal)
        const cpuHz = (await clocks.cpu?.currentHz()) ?? board.cpu.maxHz
        const inside = steps.filter((step) => step.startedAtMs >= fromMs && step.startedAtMs < monotonicMs())
        const step = meanStep(order, cost, inside)
        const spanSeconds = (monotonicMs() - fromMs) / 1000
        const busy = inside.reduce((sum, { seconds: each }) => sum + each, 0)
        return { order, gpuHz, cpuHz, seconds, ...power, step, busyShare: Math.min(1, busy / spanSeconds) }
      } finally {
        done.abort()
        leave()
        await working
      }
    },
  }
}

/** The mean of the steps of the order's own phase: the short prompt before an answer is not part of a decode cell. */
function meanStep(order: CellOrder, cost: ModelCost, steps: readonly StepEvent[]): Cell['step'] {
  if (order.kind === 'idle') return null
  const own = steps.filter((step) => step.phase === order.kind)
  if (own.length === 0) {
    throw new DeapdError('calibration_poor', { detail: `no ${order.kind} step ran at ${order.gpuHz / 1e6} MHz` })
  }
  const works = own.map((step) => runWork(cost, step))
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const work: Work = {
    phase: order.kind,
    bytes: mean(works.map(({ bytes }) => bytes)),
    flops: mean(works.map(({ flops }) => flops)),
  }
  return { work, seconds: mean(own.map(({ seconds }) => seconds)) }
}
