import { totalPower } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { DeapdError } from '../errors.ts'
import type { Sensed } from '../governor/types.ts'
import { sampledWatts } from '../twin/sensors.ts'
import type { VirtualBoard } from '../twin/virtual.ts'

/** What the daemon reads of the board, with the delays of the way there. */
export interface Sensor {
  readonly staleAfterMs: number
  /** When the source next has something new; the simulation calls `take` then. */
  readonly nextAtMs: () => number
  take(atMs: number): void
  read(atMs: number): Sensed | null
}

/** Milliseconds from the sampling of a tegrastats line until the daemon has it: assumed, a line through a pipe. */
const lineDelayMs = 12

/** `hwmon` shows the last refresh whenever it is read; `tegrastats:MS` prints it every so often, and the line is read later. */
export function createSensor(spec: string, board: Board, plant: VirtualBoard): Sensor {
  const match = /^(?:hwmon|tegrastats:(\d+))$/.exec(spec)
  const everyMs = Number(match?.[1] ?? 0)
  if (match === null || (spec !== 'hwmon' && !(everyMs >= 20))) {
    throw new DeapdError('bad_usage', { detail: `--sensor must be hwmon or tegrastats:MS from 20 up, not "${spec}".` })
  }
  const sense = (atMs: number): Sensed => {
    const { rails, tjCelsius, overCurrentEvents, throttling, loss } = plant.sensed()
    return {
      atMs,
      totalWatts: rails === null ? null : totalPower(board, sampledWatts(rails)).totalWatts,
      tjCelsius: loss === null ? tjCelsius : null,
      overCurrentEvents,
      throttling,
    }
  }
  if (spec === 'hwmon') {
    return { staleAfterMs: 500, nextAtMs: () => Number.POSITIVE_INFINITY, take: () => undefined, read: sense }
  }
  let nextAtMs = everyMs + lineDelayMs
  let latest: Sensed | null = null
  return {
    staleAfterMs: Math.max(500, 2.5 * everyMs),
    nextAtMs: () => nextAtMs,
    take(atMs) {
      nextAtMs += everyMs
      const line = sense(atMs)
      // Without its files tegrastats prints no rails; the line before grows old.
      if (line.totalWatts !== null) latest = line
    },
    read: () => latest,
  }
}
