import { join } from 'node:path'
import type { Conditions, Trips } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { listFolder, readLine, readNumber, type ValueFiles } from './files.ts'

type Heat = Pick<
  Conditions,
  'tjCelsius' | 'tjCelsiusReason' | 'zoneCelsius' | 'trips' | 'throttleMarginKelvin' | 'throttleMarginKelvinReason'
>

export interface Zone {
  readonly type: string
  /** Path of its temperature in millidegrees. */
  readonly temp: string
  /** Lowest trip at which the kernel slows the board down, and the one at which it turns it off; null when it has none. */
  readonly throttleCelsius: number | null
  readonly shutdownCelsius: number | null
}

const folder = 'sys/class/thermal'
/** What a trip can sensibly be: disabled ones are -256 °C, 0 or the largest integer. */
const plausible = (celsius: number): boolean => celsius >= 40 && celsius <= 150

/**
 * The thermal zones of a board and their trip points (hardware.md §2.3). `passive` is where the kernel begins to throttle,
 * `hot` where it does so at the latest, `critical` where it turns the board off; `active` only drives the fan.
 */
export function findZones(root: string): readonly Zone[] {
  return listFolder(join(root, folder))
    .filter((name) => /^thermal_zone\d+$/.test(name))
    .flatMap((name) => {
      const zone = join(root, folder, name)
      const type = readLine(join(zone, 'type'))
      if (type === undefined || type === '') return []
      const trips = listFolder(zone).flatMap((file) => {
        const number = /^trip_point_(\d+)_type$/.exec(file)?.[1]
        const milli = readNumber(join(zone, `trip_point_${number}_temp`))
        if (number === undefined || milli === undefined || !plausible(milli / 1000)) return []
        return [{ kind: readLine(join(zone, file)), celsius: milli / 1000 }]
      })
      const lowest = (kind: string) =>
        trips
          .filter((trip) => trip.kind === kind)
          .reduce<number | null>((low, { celsius }) => lower(low, celsius), null)
      const throttleCelsius = lowest('passive') ?? lowest('hot')
      return [{ type, temp: join(zone, 'temp'), throttleCelsius, shutdownCelsius: lowest('critical') }]
    })
}

/** The trips that count for the board: the lowest of its zones; what no zone tells comes from the board's row. */
export function tripsOf(board: Pick<Board, 'trips'>, zones: readonly Zone[]): Trips {
  const counted = zones.filter((zone) => !isMadeUp(zone.type))
  const throttle = counted.reduce<number | null>((low, zone) => lower(low, zone.throttleCelsius), null)
  const shutdown = counted.reduce<number | null>((low, zone) => lower(low, zone.shutdownCelsius), null)
  return {
    throttleCelsius: throttle ?? board.trips.throttleCelsius,
    shutdownCelsius: shutdown ?? board.trips.shutdownCelsius,
    from: throttle === null ? 'assumed' : 'read',
  }
}

/** Reads the zones. A zone that is powered down answers EAGAIN or -256 °C and is left out. */
export async function readHeat(
  board: Pick<Board, 'trips'>,
  zones: readonly Zone[],
  files: ValueFiles,
  noneReason: string,
): Promise<Heat> {
  const values = await files.numbers(zones.map((zone) => zone.temp))
  const celsius: Record<string, number> = {}
  for (const [index, milli] of values.entries()) {
    const { type } = zones[index]
    // Zones of one name occur; the hotter one counts.
    if (milli !== undefined) celsius[type] = Math.max(celsius[type] ?? Number.NEGATIVE_INFINITY, milli / 1000)
  }
  const trips = tripsOf(board, zones)
  const own = new Map(zones.map((zone) => [zone.type, zone.throttleCelsius]))
  return heatOf(celsius, trips, noneReason, (zone) => own.get(zone) ?? null)
}

/**
 * Heat from zone temperatures. The junction is the hottest of all zones, because tj and its parts are not read in the same
 * moment (§1.1). -256 °C is a zone that is off; PMIC zones report a made-up 100 or 50 °C.
 */
export function heatOf(
  celsius: Readonly<Record<string, number | null>>,
  trips: Trips,
  noneReason: string,
  ownTrip: (zone: string) => number | null = () => null,
): Heat {
  const zoneCelsius: Record<string, number> = {}
  for (const [name, value] of Object.entries(celsius)) {
    if (value !== null && value > -200 && !isMadeUp(name)) zoneCelsius[name] = value
  }
  const live = Object.entries(zoneCelsius)
  if (live.length === 0) {
    const nothing = { tjCelsius: null, tjCelsiusReason: noneReason }
    return { ...nothing, zoneCelsius, trips, throttleMarginKelvin: null, throttleMarginKelvinReason: noneReason }
  }
  return {
    tjCelsius: Math.max(...live.map(([, value]) => value)),
    tjCelsiusReason: null,
    zoneCelsius,
    trips,
    throttleMarginKelvin: Math.min(...live.map(([name, value]) => (ownTrip(name) ?? trips.throttleCelsius) - value)),
    throttleMarginKelvinReason: null,
  }
}

const isMadeUp = (zone: string): boolean => /pmic/i.test(zone)

function lower(a: number | null, b: number | null): number | null {
  if (a === null) return b
  return b === null ? a : Math.min(a, b)
}
