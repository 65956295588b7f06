import type { Board } from './types.ts'

/** What the sensors said at one moment. A value that is not known is null, with the reason beside it; never zero. */
export interface Reading {
  /** Monotonic milliseconds (CLOCK_MONOTONIC), comparable between our processes. */
  readonly atMs: number
  /** Which adapter read it, for example `hwmon`. */
  readonly source: string
  readonly railWatts: Readonly<Record<string, number>>
  readonly totalWatts: number | null
  readonly totalWattsReason: string | null
  readonly totalRule: string
  readonly tjCelsius: number | null
  readonly tjCelsiusReason: string | null
}

/** Module power from rail powers by the board's rule, or the reason why it cannot be known. */
export function totalPower(
  board: Board,
  railWatts: Readonly<Record<string, number>>,
): Pick<Reading, 'totalWatts' | 'totalWattsReason' | 'totalRule'> {
  const missing = board.total.rails.filter((label) => railWatts[label] === undefined)
  if (missing.length > 0) {
    return { totalWatts: null, totalWattsReason: `no reading of ${missing.join(', ')}`, totalRule: board.total.name }
  }
  const totalWatts = board.total.rails.reduce((sum, label) => sum + railWatts[label], 0)
  // A board that runs this code draws power: zero on every rail is a sensor without rights or power, not a reading.
  if (totalWatts <= 0) {
    const totalWattsReason = `${board.total.rails.join(', ')} ${board.total.rails.length > 1 ? 'read' : 'reads'} 0 W`
    return { totalWatts: null, totalWattsReason, totalRule: board.total.name }
  }
  return { totalWatts, totalWattsReason: null, totalRule: board.total.name }
}
