import type { PowerModel } from './types.ts'

/** One piece of engine work: a decode step for some sequences, or one chunk of prefill. */
export interface Work {
  readonly phase: 'prefill' | 'decode'
  /** Weight and KV bytes moved. */
  readonly bytes: number
  readonly flops: number
}

const giga = 1e9

/** GPU core volts over the volts at the knee: flat below it, rising linearly above (hardware.md §4.5). */
export function relativeVolts(model: PowerModel, gpuHz: number): number {
  return gpuHz <= model.kneeHz ? 1 : 1 + model.voltSlope * (gpuHz / model.kneeHz - 1)
}

/** Seconds the work takes at this GPU clock. */
export function workSeconds(model: PowerModel, gpuHz: number, work: Work): number {
  const smGhz = (model.smCount * gpuHz) / giga
  const p = model.rooflinePower
  const memory =
    ((work.bytes / (model.coreBytesPerSmGhz * smGhz)) ** p + (work.bytes / model.memoryBytesPerSecond) ** p) ** (1 / p)
  const compute = work.flops / (model.flopsPerSmGhz * smGhz * model.prefillEfficiency)
  return Math.max(memory, compute)
}

/** Watts above idle while such work runs at this GPU clock. */
export function workWatts(model: PowerModel, gpuHz: number, work: Work): number {
  const activity = work.phase === 'prefill' ? model.prefillActivity : model.decodeActivity
  const gpu = model.wattsPerSmGhz * model.smCount * (gpuHz / giga) * relativeVolts(model, gpuHz) ** 2 * activity
  return gpu + model.cpuBusyWatts + (model.dramJoulesPerByte * work.bytes) / workSeconds(model, gpuHz, work)
}
