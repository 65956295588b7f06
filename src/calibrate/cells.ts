import type { Work } from '../board/work.ts'

/** What to run: a level at a GPU clock, a prompt at a clock, or nothing. */
export type CellOrder =
  | { readonly kind: 'idle'; readonly gpuHz: number }
  | { readonly kind: 'decode'; readonly gpuHz: number; readonly level: number }
  | { readonly kind: 'prefill'; readonly gpuHz: number }

/** What was seen while it ran. Means over the cell, the first moments after the change of clock left out. */
export interface Cell {
  readonly order: CellOrder
  /** The clocks that stood on the board. */
  readonly gpuHz: number
  readonly cpuHz: number
  readonly seconds: number
  readonly watts: number
  /** Power readings the mean rests on. */
  readonly samples: number
  /** Part of the time in which a step ran: below 1 where the engine waits between steps. */
  readonly busyShare: number
  /** Mean step; null while idle. */
  readonly step: { readonly work: Work; readonly seconds: number } | null
}

/** Where cells are run: a board with an engine on it, or the simulated one in its own time. */
export interface CellRig {
  run(order: CellOrder, seconds: number, signal: AbortSignal): Promise<Cell>
}

/** At most this many clocks are tried: the model has few parameters, and a sweep of eleven clocks takes ten minutes. */
const mostClocks = 6

/**
 * Idle, then every level and a prompt at clocks spread over the ladder, from the lowest up: the board warms slowly and what
 * was not yet measured is never run at a clock higher than needed.
 */
export function planCells(levels: number, pointsHz: readonly number[]): readonly CellOrder[] {
  const clocks = spread(pointsHz, mostClocks)
  return [
    { kind: 'idle', gpuHz: pointsHz[0] },
    ...clocks.flatMap((gpuHz): CellOrder[] => [
      ...Array.from({ length: levels }, (_, level): CellOrder => ({ kind: 'decode', gpuHz, level })),
      { kind: 'prefill', gpuHz },
    ]),
    // Once more, now warm: what heat adds to the idle watts must not be taken for work.
    { kind: 'idle', gpuHz: pointsHz[0] },
  ]
}

/** Up to `count` of the points, first and last among them. */
function spread(points: readonly number[], count: number): readonly number[] {
  if (points.length <= count) return points
  const at = (index: number): number => points[Math.round((index * (points.length - 1)) / (count - 1))]
  return Array.from({ length: count }, (_, index) => at(index))
}
