import type { PowerModel } from '../board/types.ts'
import { cpuWatts, gpuDraw, relativeVolts, workWatts } from '../board/work.ts'
import type { Cell } from './cells.ts'
import type { Fitted } from './fit.ts'
import { type Regression, regress } from './regress.ts'

export interface PowerFit {
  readonly model: PowerModel
  readonly figures: Readonly<Record<string, Fitted>>
  readonly rSquared: number
  /** Of each cell, relative, ≥ 0. */
  readonly errors: readonly number[]
}

/** Slopes of the voltage that are tried: it stands inside a square, the rest of the model is linear. */
const slopes = Array.from({ length: 81 }, (_, index) => index / 100)

/**
 * Watts are linear in idle, busy (CPU and active rails), GPU in decode, GPU in prefill and bytes per second once the rise of
 * the voltage is known; that is searched for. `model` must have its times already: duty follows from them.
 */
export function fitPower(model: PowerModel, cells: readonly Cell[]): PowerFit {
  const watts = cells.map((cell) => cell.watts)
  let best: { readonly slope: number; readonly fit: Regression } | null = null
  for (const slope of slopes) {
    const rows = cells.map((cell) => featuresOf({ ...model, voltSlope: slope }, cell))
    const fit = regress(rows, watts, watts)
    if (best === null || fit.error < best.fit.error) best = { slope, fit }
  }
  // `slopes` is not empty.
  const { slope, fit } = best as NonNullable<typeof best>
  const [idle, busy, decode, prefill, dram] = fit.coefficients
  const fitted: PowerModel = {
    ...model,
    voltSlope: slope,
    idleWatts: idle,
    activeWatts: model.activeWatts * busy,
    cpu: { ...model.cpu, wattsPerCoreGhz: model.cpu.wattsPerCoreGhz * busy },
    decodeActivity: decode,
    prefillActivity: prefill,
    dramJoulesPerByte: dram,
    // The idle watts were measured at the temperature of the sweep; what leakage adds at others is not known from it.
  }
  const figure = (index: number, scale = 1): Fitted => {
    const width = fit.halfWidths[index]
    return { value: fit.coefficients[index] * scale, halfWidth: width === null ? null : width * scale }
  }
  return {
    model: fitted,
    figures: {
      idle_watts: figure(0),
      busy_watts: figure(1, model.activeWatts + cpuWatts(model, model.cpu.maxHz, model.cpu.busyCores)),
      decode_activity: figure(2),
      prefill_activity: figure(3),
      dram_picojoules_per_byte: figure(4, 1e12),
      volt_slope: { value: slope, halfWidth: null },
    },
    rSquared: fit.rSquared,
    errors: cells.map((cell) => Math.abs(modelWatts(fitted, cell) / cell.watts - 1)),
  }
}

/** Module watts of a cell by the model. */
export function modelWatts(model: PowerModel, { step, gpuHz, cpuHz, busyShare }: Cell): number {
  return model.idleWatts + (step === null ? 0 : busyShare * workWatts(model, gpuHz, step.work, cpuHz))
}

/** What multiplies idle watts, busy watts, activity in decode, activity in prefill, and joules per byte. */
function featuresOf(model: PowerModel, { step, gpuHz, cpuHz, busyShare }: Cell): readonly number[] {
  if (step === null) return [1, 0, 0, 0, 0]
  const { seconds } = gpuDraw(model, gpuHz, step.work)
  const duty = Math.min(1, seconds / step.seconds)
  const volts = relativeVolts(model, gpuHz)
  const gpu = model.wattsPerSmGhz * model.smCount * (gpuHz / 1e9) * volts * volts * duty
  const decode = step.work.phase === 'decode'
  const busy = model.activeWatts + cpuWatts(model, cpuHz, model.cpu.busyCores)
  const parts = [busy, decode ? gpu : 0, decode ? 0 : gpu, step.work.bytes / step.seconds]
  return [1, ...parts.map((part) => part * busyShare)]
}
