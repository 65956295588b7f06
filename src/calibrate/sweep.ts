import type { PowerModel } from '../board/types.ts'
import { DeapdError } from '../errors.ts'
import { type Cell, type CellOrder, type CellRig, planCells } from './cells.ts'
import { type Fit, fitCells, poor } from './fit.ts'

export interface SweepOptions {
  readonly levels: number
  readonly pointsHz: readonly number[]
  readonly secondsPerCell: number
  readonly signal: AbortSignal
  readonly onCell?: (done: number, all: number, cell: Cell) => void
}

/** So many times in a sweep may a cell be run again: one that another program disturbed must not void a sweep of minutes. */
const mostRepeats = 4

/**
 * Runs every cell and fits the model to them. A cell in which nothing could be measured is run again; while the fit is poor, so is
 * the one that is furthest off it, each once. Throws the signal's reason when it is cancelled, and `calibration_poor`.
 */
export async function sweep(
  rig: CellRig,
  prior: PowerModel,
  options: SweepOptions,
): Promise<{ fit: Fit; cells: Cell[]; repeats: number }> {
  const orders = planCells(options.levels, options.pointsHz)
  let repeats = 0
  const run = async (order: CellOrder): Promise<Cell> => {
    options.signal.throwIfAborted()
    try {
      return await rig.run(order, options.secondsPerCell, options.signal)
    } catch (error) {
      const unmeasured = error instanceof DeapdError && error.code === 'calibration_poor'
      if (!unmeasured || repeats === mostRepeats) throw error
      repeats++
      return run(order)
    }
  }
  const cells: Cell[] = []
  for (const order of orders) {
    cells.push(await run(order))
    options.onCell?.(cells.length, orders.length, cells[cells.length - 1])
  }
  const repeated = new Set<number>()
  let attempt = fitCells(prior, cells)
  while (attempt.faults.length > 0 && repeats < mostRepeats) {
    const worst = furthestOff(attempt.cellErrors, repeated)
    repeated.add(worst)
    repeats++
    cells[worst] = await run(orders[worst])
    attempt = fitCells(prior, cells)
  }
  if (attempt.faults.length > 0) throw poor(attempt.faults)
  return { fit: attempt.fit, cells, repeats }
}

/** Index of the largest error that was not yet tried again. */
function furthestOff(errors: readonly number[], tried: ReadonlySet<number>): number {
  const left = errors.map((error, index) => ({ error, index })).filter(({ index }) => !tried.has(index))
  return left.reduce((worst, each) => (each.error > worst.error ? each : worst)).index
}
