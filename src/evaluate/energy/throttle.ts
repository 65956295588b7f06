import type { Board } from '../../board/types.ts'
import { type ModelCost, workSeconds } from '../../board/work.ts'
import { uniform } from '../../twin/noise.ts'
import { createVirtualBoard } from '../../twin/virtual.ts'
import type { ThrottleTrace } from '../records.ts'
import { decodeWork, prefillWork } from './cost.ts'
import type { Trace } from './traces.ts'

/** A board in a closed, hot box at its highest clocks: the fan moves no air, and the heat sink gives away a third. */
export const hotBox = { ambientCelsius: 45, sinkFactor: 3, seconds: 900, duty: 0.9 }

/**
 * Times per token while requests come as they do, whatever the arm: their gaps are drawn once from the seed, so that the
 * slowest arm of all would be busy `duty` of the time if the board stayed cool. `busySeconds` is what it takes for one.
 */
export function throttleTrace(
  arm: string,
  traces: readonly Trace[],
  cost: ModelCost,
  board: Board,
  busySeconds: number,
  seed: number,
  box = hotBox,
): ThrottleTrace {
  const { thermal, fan } = board.model
  const boxed = { ...thermal, sinkKelvinPerWatt: thermal.sinkKelvinPerWatt * box.sinkFactor }
  const hot = { ...board, model: { ...board.model, thermal: boxed, fan: { ...fan, coolingPower: 0 } } }
  const virtual = createVirtualBoard({ board: hot, seed, ambientCelsius: box.ambientCelsius })
  const random = uniform(seed)
  const atSeconds: number[] = []
  const secondsPerToken: number[] = []
  const meanGapMs = (1000 * busySeconds) / box.duty
  let arrivedMs = 0
  let freeMs = 0
  /** One run of the network from `freeMs` on, at the clocks the heat leaves. */
  const run = (work: ReturnType<typeof decodeWork>): number => {
    const seconds = workSeconds(hot.model, virtual.gpuHz(), work, virtual.cpuHz())
    virtual.addStep({ startedAtMs: freeMs, seconds, work, parts: [{ requestId: arm, share: 1 }] })
    freeMs += seconds * 1000
    virtual.run(freeMs)
    return seconds
  }
  for (let next = 0; freeMs < box.seconds * 1000; next++) {
    const { promptTokens, runs } = traces[next % traces.length]
    arrivedMs += -meanGapMs * Math.log(1 - random())
    if (arrivedMs > freeMs) {
      freeMs = arrivedMs
      virtual.run(freeMs)
    }
    run(prefillWork(cost, promptTokens))
    let pending = 0
    for (const one of runs) {
      pending += run(decodeWork(cost, one))
      for (let token = 0; token < one.emits; token++) {
        atSeconds.push(freeMs / 1000)
        secondsPerToken.push(pending / one.emits)
      }
      if (one.emits > 0) pending = 0
    }
  }
  return { arm, atSeconds: Float64Array.from(atSeconds), secondsPerToken: Float64Array.from(secondsPerToken) }
}
