import type { PowerModel } from '../board/types.ts'
import { DeapdError } from '../errors.ts'
import type { Cell } from './cells.ts'
import { fitPower } from './fit-power.ts'
import { fitTime } from './fit-time.ts'
import { regress } from './regress.ts'

/** A figure of the model and how far it may be off. */
export interface Fitted {
  readonly value: number
  /** Half-width of the 95 % interval; null where the fit cannot say. */
  readonly halfWidth: number | null
}

/** What was learned of one board with one model. */
export interface Fit {
  /** The board's power model with the fitted figures in place of its priors. */
  readonly model: PowerModel
  readonly figures: Readonly<Record<string, Fitted>>
  readonly powerRSquared: number
  readonly timeRSquared: number
  /** Largest relative error of a cell against the fitted model. */
  readonly largestPowerError: number
  readonly largestTimeError: number
  readonly energy: EnergyPriors
}

/** Joules of a step from what it moves and computes (deap.md §4.4): what a group of weights costs to keep. */
export interface EnergyPriors {
  readonly joulesPerByte: number
  readonly joulesPerFlop: number
  readonly staticWatts: number
  /** Seconds saved over bytes saved, both as parts of the full level's. */
  readonly elasticity: number | null
  readonly rSquared: number
}

/** Below these a fit describes something else than the board: another program ran, or a clock did not obey. */
export const leastRSquared = 0.95
export const mostCellError = 0.15
export const leastCells = 6

/** A fit, what speaks against it (nothing: it describes the board), and how far each cell is off it. */
export interface Attempt {
  readonly fit: Fit
  readonly faults: readonly string[]
  readonly cellErrors: readonly number[]
}

/** Fits the model to the cells of a sweep; throws `calibration_poor` when fewer than `leastCells` of them had work. */
export function fitCells(prior: PowerModel, cells: readonly Cell[]): Attempt {
  const busy = cells.filter((cell) => cell.step !== null)
  if (busy.length < leastCells) throw poor([`${busy.length} cells with work, ${leastCells} are needed`])
  const time = fitTime(prior, cells)
  const power = fitPower(time.model, cells)
  const fit: Fit = {
    model: power.model,
    figures: { ...power.figures, ...time.figures },
    powerRSquared: power.rSquared,
    timeRSquared: time.rSquared,
    largestPowerError: Math.max(...power.errors),
    largestTimeError: Math.max(...time.errors),
    energy: energyPriors(busy),
  }
  const faults = [
    fit.powerRSquared < leastRSquared && `R² of power is ${fit.powerRSquared.toFixed(3)}`,
    fit.timeRSquared < leastRSquared && `R² of time is ${fit.timeRSquared.toFixed(3)}`,
    fit.largestPowerError > mostCellError && `a cell's power is off by ${(100 * fit.largestPowerError).toFixed(0)} %`,
    fit.largestTimeError > mostCellError && `a cell's time is off by ${(100 * fit.largestTimeError).toFixed(0)} %`,
  ].filter((fault) => fault !== false)
  return { fit, faults, cellErrors: power.errors.map((error, index) => Math.max(error, time.errors[index])) }
}

/** The error for a fit with faults. */
export const poor = (faults: readonly string[]): DeapdError =>
  new DeapdError('calibration_poor', { detail: faults.join(', ') })

function energyPriors(cells: readonly Cell[]): EnergyPriors {
  const steps = cells.flatMap((cell) => (cell.step === null ? [] : [{ ...cell.step, watts: cell.watts }]))
  const joules = steps.map(({ watts, seconds }) => watts * seconds)
  const { coefficients, rSquared } = regress(
    steps.map(({ work, seconds }) => [work.bytes, work.flops, seconds]),
    joules,
    joules,
  )
  const [joulesPerByte, joulesPerFlop, staticWatts] = coefficients
  return { joulesPerByte, joulesPerFlop, staticWatts, elasticity: elasticityOf(cells), rSquared }
}

/** The slope of time over bytes at equal clocks, both relative to the level that moves most. */
function elasticityOf(cells: readonly Cell[]): number | null {
  const decode = cells.flatMap((cell) =>
    cell.step?.work.phase === 'decode' ? [{ gpuHz: cell.gpuHz, ...cell.step }] : [],
  )
  let saved = 0
  let bytes = 0
  for (const gpuHz of new Set(decode.map((cell) => cell.gpuHz))) {
    const group = decode.filter((cell) => cell.gpuHz === gpuHz)
    const full = group.reduce((most, cell) => (cell.work.bytes > most.work.bytes ? cell : most))
    for (const cell of group) {
      const less = 1 - cell.work.bytes / full.work.bytes
      saved += less * (1 - cell.seconds / full.seconds)
      bytes += less * less
    }
  }
  return bytes > 0 ? saved / bytes : null
}
