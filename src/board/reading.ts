import type { Board } from './types.ts'

/** What the sensors said at one moment. A value that is not known is null, with the reason beside it; never zero. */
export interface Reading extends PowerReading, Conditions {}

export interface PowerReading {
  /** Monotonic milliseconds (CLOCK_MONOTONIC), comparable between our processes. */
  readonly atMs: number
  /** Which instrument read it, for example `hwmon`. */
  readonly source: string
  readonly railWatts: Readonly<Record<string, number>>
  readonly totalWatts: number | null
  readonly totalWattsReason: string | null
  readonly totalRule: string
}

/** What else the board says about itself: heat, what the hardware did about it, memory. */
export interface Conditions {
  /** The hottest live zone. */
  readonly tjCelsius: number | null
  readonly tjCelsiusReason: string | null
  /** Live thermal zones by their type; one that is powered down is absent. */
  readonly zoneCelsius: Readonly<Record<string, number>>
  readonly trips: Trips
  /** Kelvin that the zone closest to its own throttle trip still has to it; negative beyond it. */
  readonly throttleMarginKelvin: number | null
  readonly throttleMarginKelvinReason: string | null
  /** Over-current events since boot by counter: oc1 under-voltage, oc2 average, oc3 instantaneous (hardware.md §2.2). */
  readonly overCurrentEvents: Readonly<Record<string, number>> | null
  readonly overCurrentEventsReason: string | null
  /** Cooling devices at work except the fan, such as `devfreq-17000000.gpu`: not empty while the kernel throttles. */
  readonly throttling: readonly string[] | null
  readonly throttlingReason: string | null
  readonly memory: MemoryState | null
  readonly memoryReason: string | null
}

/** Where the kernel begins to throttle and where it shuts the board down. */
export interface Trips {
  readonly throttleCelsius: number
  readonly shutdownCelsius: number
  /** `read` from the board's zones, or `assumed` from its row in our table. */
  readonly from: 'read' | 'assumed'
}

export interface MemoryState {
  readonly totalBytes: number
  readonly availableBytes: number
  /** Size and number of the largest free blocks: few small ones mean that a big GPU buffer may fail. Null: not told. */
  readonly largestBlockBytes: number | null
  readonly largestBlocks: number | null
}

/** Module power from rail powers by the board's rule, or the reason why it cannot be known. */
export function totalPower(
  board: Pick<Board, 'total'>,
  railWatts: Readonly<Record<string, number>>,
): Pick<Reading, 'totalWatts' | 'totalWattsReason' | 'totalRule'> {
  const { total } = board
  const isRead = (label: string): boolean => railWatts[label] !== undefined
  const { name: totalRule, rails } =
    total.otherwise && !total.rails.every(isRead) && total.otherwise.rails.every(isRead) ? total.otherwise : total
  const missing = rails.filter((label) => !isRead(label))
  if (missing.length > 0)
    return { totalWatts: null, totalWattsReason: `no reading of ${missing.join(', ')}`, totalRule }
  const totalWatts = rails.reduce((sum, label) => sum + railWatts[label], 0)
  // A board that runs this code draws power: zero on every rail is a sensor without rights or power, not a reading.
  if (totalWatts <= 0) {
    const totalWattsReason = `${rails.join(', ')} ${rails.length > 1 ? 'read' : 'reads'} 0 W`
    return { totalWatts: null, totalWattsReason, totalRule }
  }
  return { totalWatts, totalWattsReason: null, totalRule }
}

/**
 * The board with the one rule that holds where these rails were ever seen: a board that has the sensor of the main rule must
 * not fall back to the other when that sensor fails, which would show less power.
 */
export function withRuleFor(board: Board, seen: Iterable<string>): Board {
  const labels = new Set(seen)
  const { otherwise, ...main } = board.total
  return otherwise && main.rails.some((label) => labels.has(label)) ? { ...board, total: main } : board
}

/** The board as a reading saw it: its fallback rule, or the rule of an instrument that is not the board's own. */
export function withRuleNamed(board: Board, name: string): Board {
  const { total } = board
  if (name === total.name) return board
  return { ...board, total: name === total.otherwise?.name ? total.otherwise : { ...total, name } }
}

/** A power reading that knows nothing, and why. */
export function unknownPower(
  board: Pick<Board, 'total'>,
  atMs: number,
  source: string,
  reason: string,
): PowerReading & { readonly totalWatts: null } {
  return { atMs, source, railWatts: {}, totalWatts: null, totalWattsReason: reason, totalRule: board.total.name }
}

/** Conditions of a board that says nothing about itself; the trips are those of its row. */
export function unknownConditions(board: Pick<Board, 'trips'>, reason: string): Conditions {
  return {
    tjCelsius: null,
    tjCelsiusReason: reason,
    zoneCelsius: {},
    trips: { ...board.trips, from: 'assumed' },
    throttleMarginKelvin: null,
    throttleMarginKelvinReason: reason,
    overCurrentEvents: null,
    overCurrentEventsReason: reason,
    throttling: null,
    throttlingReason: reason,
    memory: null,
    memoryReason: reason,
  }
}
