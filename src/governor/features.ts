import type { PowerModel } from '../board/types.ts'
import { gpuSeconds, gpuWatts, relativeVolts, type Work, workSeconds, workWatts } from '../board/work.ts'
import type { Estimate } from './kalman.ts'

/**
 * The plant is taken to be the board's power model with each of these parts multiplied by a number that is near 1 and
 * unknown. Features are the watts of each part as the model has them, so that watts are features · multipliers.
 */
export const parts = ['idle', 'host', 'gpuDecode', 'gpuPrefill', 'volts', 'dram'] as const

/**
 * Before anything was measured: every coefficient of hardware.md §4.6 may be off by about 30 % (as a uniform error, a
 * deviation of 0.17). The two GPU parts share the watts per SM and differ in activity. The rise of the voltage above the
 * knee is known worst, since no public table of it exists (§4.5).
 */
export const prior: Estimate = {
  mean: [1, 1, 1, 1, 1, 1],
  covariance: [
    [0.03, 0, 0, 0, 0, 0],
    [0, 0.06, 0, 0, 0, 0],
    [0, 0, 0.06, 0.03, 0, 0],
    [0, 0, 0.03, 0.06, 0, 0],
    [0, 0, 0, 0, 0.25, 0],
    [0, 0, 0, 0, 0, 0.06],
  ].flat(),
}

/** How fast the parts may wander, as variance per second: other programs come and go (idle); the rest moves with heat. */
export const wander: readonly number[] = [4e-4, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5]

export function idleFeatures(model: PowerModel): number[] {
  return [model.idleWatts, 0, 0, 0, 0, 0]
}

/** Watts of each part while such work runs. */
export function workFeatures(model: PowerModel, gpuHz: number, work: Work): number[] {
  const modelSeconds = workSeconds(model, gpuHz, work)
  const gpu = (gpuWatts(model, gpuHz, work) * gpuSeconds(model, gpuHz, work)) / modelSeconds
  const dram = (model.dramJoulesPerByte * work.bytes) / modelSeconds
  const host = Math.max(0, workWatts(model, gpuHz, work) - gpu - dram)
  const square = relativeVolts(model, gpuHz) ** 2
  const flat = gpu / square
  const decode = work.phase === 'decode'
  return [model.idleWatts, host, decode ? flat : 0, decode ? 0 : flat, gpu - flat, dram]
}

/** `base + share · (features − base)`, in place: work that ran for a part of the time. */
export function blend(base: number[], features: readonly number[], idle: readonly number[], share: number): number[] {
  for (let i = 0; i < base.length; i += 1) base[i] += share * (features[i] - idle[i])
  return base
}

/** What the model says of one clock: the watts of each part, and the seconds of a step in all and without the cores. */
export interface Rung {
  readonly gpuHz: number
  readonly features: readonly number[]
  readonly seconds: number
}

interface Table {
  readonly model: PowerModel
  readonly gpuHz: readonly number[]
  readonly rungs: readonly Rung[]
}

/** A table depends on its arguments alone; works live for many steps, so that it is worth keeping. */
const tables = new WeakMap<Work, Table>()

/** The model's rungs for one kind of work. */
export function rungsOf(model: PowerModel, gpuHz: readonly number[], work: Work): readonly Rung[] {
  const kept = tables.get(work)
  if (kept !== undefined && kept.model === model && kept.gpuHz === gpuHz) return kept.rungs
  const rungs = gpuHz.map((hz) => ({
    gpuHz: hz,
    features: workFeatures(model, hz, work),
    seconds: workSeconds(model, hz, work),
  }))
  tables.set(work, { model, gpuHz, rungs })
  return rungs
}

/** The features of a step that takes other than the model's seconds: its bytes move faster or slower. */
export function paced({ features, seconds }: Rung, really: number): number[] {
  const own = [...features]
  own[own.length - 1] *= seconds / really
  return own
}
