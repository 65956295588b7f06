import type { PowerModel } from '../board/types.ts'
import { workSeconds } from '../board/work.ts'
import type { Cell } from './cells.ts'
import type { Fitted } from './fit.ts'
import { type Regression, regress } from './regress.ts'

export interface TimeFit {
  readonly model: PowerModel
  readonly figures: Readonly<Record<string, Fitted>>
  readonly rSquared: number
  /** Of each cell, relative, ≥ 0; 0 for an idle one. */
  readonly errors: readonly number[]
}

/** Host seconds that are tried, as parts of the shortest step: they stand inside a power, the rest is linear. */
const hostShares = Array.from({ length: 41 }, (_, index) => index / 50)

/**
 * (t − host)^p = bytes^p · (1/(beta·SM·f)^p + 1/memory^p): linear in the two once the host's part is known, which is
 * searched for. A prompt takes flops over the peak, host included.
 */
export function fitTime(model: PowerModel, cells: readonly Cell[]): TimeFit {
  const decode = cells.flatMap((cell) => (cell.step?.work.phase === 'decode' ? [{ ...cell, step: cell.step }] : []))
  const shortest = Math.min(...decode.map((cell) => cell.step.seconds))
  const p = model.rooflinePower
  let best: { readonly host: number; readonly fit: Regression; readonly error: number } | null = null
  for (const share of hostShares) {
    const host = share * shortest
    const hostOf = (cell: Cell): number => (host * model.cpu.maxHz) / cell.cpuHz
    const usable = decode.filter((cell) => cell.step.seconds > hostOf(cell))
    if (usable.length < decode.length) break
    const values = decode.map((cell) => ((cell.step.seconds - hostOf(cell)) / (cell.step.work.bytes / 1e9)) ** p)
    const rows = decode.map((cell) => [(model.smCount * cell.gpuHz * 1e-9) ** -p, 1])
    const fit = regress(rows, values, values)
    const candidate = withDecode(model, host, fit)
    const error = decode.reduce((sum, cell) => sum + relative(candidate, cell) ** 2, 0)
    if (best === null || error < best.error) best = { host, fit, error }
  }
  if (best === null) return { model, figures: {}, rSquared: 0, errors: cells.map(() => Number.POSITIVE_INFINITY) }
  const decoding = withDecode(model, best.host, best.fit)
  const fitted = { ...decoding, prefillEfficiency: prefillEfficiency(decoding, cells) }
  const seconds = cells.flatMap(({ step }) => (step === null ? [] : [step.seconds]))
  const mean = seconds.reduce((sum, value) => sum + value, 0) / seconds.length
  const missed = cells.map((cell) => relative(fitted, cell) * (cell.step?.seconds ?? 0))
  const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value * value, 0)
  return {
    model: fitted,
    figures: {
      core_gigabytes_per_sm_ghz: { value: fitted.coreBytesPerSmGhz / 1e9, halfWidth: null },
      memory_gigabytes_per_second: { value: fitted.memoryBytesPerSecond / 1e9, halfWidth: null },
      host_milliseconds: { value: best.host * 1000, halfWidth: null },
      prefill_efficiency: { value: fitted.prefillEfficiency, halfWidth: null },
    },
    rSquared: 1 - squares(missed) / squares(seconds.map((value) => value - mean)),
    errors: cells.map((cell) => Math.abs(relative(fitted, cell))),
  }
}

/** A coefficient of zero means that this limit never showed: it is put far beyond the others. */
const farAway = 100

function withDecode(model: PowerModel, hostSeconds: number, { coefficients }: Regression): PowerModel {
  const [cores, memory] = coefficients
  const p = model.rooflinePower
  return {
    ...model,
    cpu: { ...model.cpu, hostSeconds },
    coreBytesPerSmGhz: cores > 0 ? 1e9 * cores ** (-1 / p) : farAway * model.coreBytesPerSmGhz,
    memoryBytesPerSecond: memory > 0 ? 1e9 * memory ** (-1 / p) : farAway * model.memoryBytesPerSecond,
  }
}

/** From the prompts that computing bounds; the prior where none does. */
function prefillEfficiency(model: PowerModel, cells: readonly Cell[]): number {
  const found = cells.flatMap((cell) => {
    if (cell.step?.work.phase !== 'prefill') return []
    const host = (model.cpu.hostSeconds * model.cpu.maxHz) / cell.cpuHz
    const peak = model.flopsPerSmGhz * model.smCount * cell.gpuHz * 1e-9
    return [cell.step.work.flops / (peak * (cell.step.seconds - host))]
  })
  return found.length === 0 ? model.prefillEfficiency : found.reduce((sum, value) => sum + value, 0) / found.length
}

const relative = (model: PowerModel, cell: Cell): number =>
  cell.step === null ? 0 : workSeconds(model, cell.gpuHz, cell.step.work, cell.cpuHz) / cell.step.seconds - 1
