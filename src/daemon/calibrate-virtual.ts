import type { Board } from '../board/types.ts'
import { type ModelCost, stepWork, type Work, workSeconds } from '../board/work.ts'
import type { CellOrder, CellRig } from '../calibrate/cells.ts'
import { sampledWatts } from '../twin/sensors.ts'
import { createVirtualBoard, refreshMs } from '../twin/virtual.ts'

/** Left out at the start of a cell: the sensor's mean still holds the clock before. */
const settleMs = 500
const contextTokens = 128
const promptTokens = 64

/** Cells on a simulated board in its own time: an hour of them takes a second. */
export function createVirtualRig(
  board: Board,
  cost: ModelCost,
  options: { readonly seed: number; readonly plantError: number },
): CellRig {
  const virtual = createVirtualBoard({ board, ...options })
  const full = cost.weightBytes.length - 1

  const workOf = (order: CellOrder): Work | null => {
    if (order.kind === 'idle') return null
    if (order.kind === 'prefill') {
      return stepWork(cost, { phase: 'prefill', level: full, tokens: promptTokens, contextTokens })
    }
    return stepWork(cost, { phase: 'decode', level: order.level, tokens: 1, contextTokens })
  }

  return {
    async run(order, seconds) {
      const work = workOf(order)
      virtual.setGpuCap(order.gpuHz)
      const startMs = virtual.state().atMs
      let freeAtMs = startMs
      let sum = 0
      let samples = 0
      const stepSeconds = work && workSeconds(virtual.board().model, virtual.gpuHz(), work, virtual.cpuHz())
      for (let atMs = startMs + refreshMs; atMs < startMs + settleMs + seconds * 1000; atMs += refreshMs) {
        while (work !== null && stepSeconds !== null && freeAtMs <= atMs) {
          virtual.addStep({ startedAtMs: freeAtMs, seconds: stepSeconds, work, parts: [] })
          freeAtMs += stepSeconds * 1000
        }
        virtual.run(atMs)
        const { rails } = virtual.sensed()
        if (rails === null || atMs < startMs + settleMs) continue
        const watts = sampledWatts(rails)
        sum += board.total.rails.reduce((total, rail) => total + watts[rail], 0)
        samples += 1
      }
      // The last step runs out, so that it is not in the next cell.
      virtual.run(freeAtMs)
      return {
        order,
        gpuHz: virtual.gpuHz(),
        cpuHz: virtual.cpuHz(),
        seconds,
        watts: sum / samples,
        samples,
        busyShare: work === null ? 0 : 1,
        step: work === null || stepSeconds === null ? null : { work, seconds: stepSeconds },
      }
    },
  }
}
