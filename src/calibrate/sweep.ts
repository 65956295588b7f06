import type { PowerModel } from '../board/types.ts'
import { type Cell, type CellRig, planCells } from './cells.ts'
import { type Fit, fitCells } from './fit.ts'

export interface SweepOptions {
  readonly levels: number
  readonly pointsHz: readonly number[]
  readonly secondsPerCell: number
  readonly signal: AbortSignal
  readonly onCell?: (done: number, all: number, cell: Cell) => void
}

/** Runs every cell and fits the model to them. Throws the signal's reason when it is cancelled, and `calibration_poor`. */
export async function sweep(
  rig: CellRig,
  prior: PowerModel,
  options: SweepOptions,
): Promise<{ fit: Fit; cells: Cell[] }> {
  const orders = planCells(options.levels, options.pointsHz)
  const cells: Cell[] = []
  for (const order of orders) {
    options.signal.throwIfAborted()
    const cell = await rig.run(order, options.secondsPerCell, options.signal)
    cells.push(cell)
    options.onCell?.(cells.length, orders.length, cell)
  }
  return { fit: fitCells(prior, cells), cells }
}
