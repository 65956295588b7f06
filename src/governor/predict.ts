import type { PowerModel } from '../board/types.ts'
import { type Work, workSeconds, workWatts } from '../board/work.ts'
import { tuning } from './tuning.ts'
import type { GovernorState, Inputs, Ladder } from './types.ts'

/** Corrected module watts at this clock for the hungriest of the works; idle watts when there is none. */
export function predictedWatts(model: PowerModel, correction: number, gpuHz: number, works: readonly Work[]): number {
  return model.idleWatts + correction * dynamicWatts(model, gpuHz, works)
}

export function dynamicWatts(model: PowerModel, gpuHz: number, works: readonly Work[]): number {
  return works.reduce((most, work) => Math.max(most, workWatts(model, gpuHz, work)), 0)
}

/** What may run before the next decision: decode alone only when decoding is all that runs and nothing waits. */
export function expectedWorks(load: Inputs['load']): readonly Work[] {
  const decodingOnly = load.queued === 0 && load.prefillSeconds === 0 && load.decodeSeconds > 0
  return decodingOnly ? [load.decodeWork] : [load.decodeWork, load.prefillWork]
}

/** Index of the highest rung whose prediction is at most `aim` watts; -1 when even the lowest is more. */
export function highestWithin(
  ladder: Ladder,
  model: PowerModel,
  correction: number,
  works: readonly Work[],
  aim: number,
): number {
  return ladder.gpuHz.findLastIndex((hz) => predictedWatts(model, correction, hz, works) <= aim)
}

/** The level with the least predicted joules per token at this clock. Power hardly depends on it; time does. */
export function thriftiestLevel(ladder: Ladder, model: PowerModel, correction: number, gpuHz: number, decode: Work) {
  const joules = ladder.shares.map((share) => {
    const work = { ...decode, bytes: decode.bytes * share, flops: decode.flops * share }
    return predictedWatts(model, correction, gpuHz, [work]) * workSeconds(model, gpuHz, work)
  })
  return joules.indexOf(Math.min(...joules))
}

/**
 * The online correction of the dynamic power. It learns only from intervals that were busy with one kind of work at a
 * settled clock without pauses: a mean over anything else says nothing about the model.
 */
export function learnedCorrection(state: GovernorState, inputs: Inputs): number {
  const { reading, load, model } = inputs
  if (reading?.totalWatts == null || reading.atMs < state.changedAtMs + tuning.settleMs) return state.correction
  if (state.decision.duty < 1 || load.intervalSeconds <= 0) return state.correction
  const seconds = Math.max(load.prefillSeconds, load.decodeSeconds)
  if (seconds < tuning.learnBusyShare * load.intervalSeconds) return state.correction
  const work = load.prefillSeconds > load.decodeSeconds ? load.prefillWork : load.decodeWork
  const expected = workWatts(model, state.decision.gpuHz, work)
  const seen = clamp((reading.totalWatts - model.idleWatts) / expected, tuning.correctionLeast, tuning.correctionMost)
  const gain = seen > state.correction ? tuning.gainUp : tuning.gainDown
  return state.correction + gain * (seen - state.correction)
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}
