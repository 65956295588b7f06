import type { PowerModel } from '../board/types.ts'
import { type Work, workSeconds } from '../board/work.ts'
import { type Estimate, expected, forget, learn } from './kalman.ts'
import { tuning } from './tuning.ts'

/**
 * How long steps take against the board's model. A decode step is bound partly by the cores and partly by the memory
 * (hardware.md §4.6: the p-norm of the two); both parts are learned, because only the first gets faster with the clock.
 */
export interface Pace {
  /** Multipliers of (core seconds)^p and (memory seconds)^p. */
  readonly decode: Estimate
  /** Measured over modelled seconds of prompt steps. */
  readonly prefill: number
}

export const freshPace: Pace = { decode: { mean: [1, 1], covariance: [0.5, 0, 0, 0.5] }, prefill: 1 }

/** A clock no board has: what is left of a step's seconds there is memory. */
const infiniteHz = 1e15

export function stepSeconds(model: PowerModel, pace: Pace, gpuHz: number, work: Work): number {
  return pacedSeconds(model, pace, work, workSeconds(model, gpuHz, work), memorySeconds(model, work))
}

/** The seconds of a step of which the model says so many, and so many that no clock of the cores can shorten. */
export function pacedSeconds(model: PowerModel, pace: Pace, work: Work, seconds: number, memory: number): number {
  if (work.phase === 'prefill') return seconds * pace.prefill
  const ratio = expected(pace.decode, boundBy(model, seconds, memory))
  return seconds * Math.max(1e-3, ratio) ** (1 / model.rooflinePower)
}

const memories = new WeakMap<Work, { readonly model: PowerModel; readonly seconds: number }>()

export function memorySeconds(model: PowerModel, work: Work): number {
  const kept = memories.get(work)
  if (kept?.model === model) return kept.seconds
  const seconds = workSeconds(model, infiniteHz, work)
  memories.set(work, { model, seconds })
  return seconds
}

/** Takes in one measured step. */
export function learnPace(
  model: PowerModel,
  pace: Pace,
  step: { readonly gpuHz: number; readonly work: Work; readonly seconds: number },
): Pace {
  const modelled = workSeconds(model, step.gpuHz, step.work)
  const ratio = step.seconds / modelled
  if (!(ratio > 0) || !Number.isFinite(ratio)) return pace
  if (step.work.phase === 'prefill') {
    const prefill = clamp(pace.prefill + tuning.paceGain * (ratio - pace.prefill))
    return { ...pace, prefill }
  }
  const bound = boundBy(model, modelled, memorySeconds(model, step.work))
  const known = forget(pace.decode, 0.1, [1e-3, 1e-3], freshPace.decode)
  const bounds = { least: tuning.paceLeast, most: tuning.paceMost, doubt: tuning.multiplierDoubt }
  const measured = clamp(ratio) ** model.rooflinePower
  return { ...pace, decode: learn(known, bound, measured, (0.05 * measured) ** 2, bounds) }
}

/** Parts of the model's step in the p-norm: cores and memory, adding up to 1. */
function boundBy({ rooflinePower }: PowerModel, seconds: number, memory: number): readonly number[] {
  const share = Math.min(1, (memory / seconds) ** rooflinePower)
  return [1 - share, share]
}

const clamp = (ratio: number): number => Math.min(tuning.paceMost, Math.max(tuning.paceLeast, ratio))
