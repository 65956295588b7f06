import { join } from 'node:path'
import type { Conditions } from '../board/reading.ts'
import { listFolder, readLine, type ValueFiles } from './files.ts'

/** A cooling device: at work while its state is above 0. */
interface Cooler {
  readonly type: string
  readonly state: string
}

/** Cooling devices that slow the board down; the fan does not (hardware.md §2.2). */
export function findCoolers(root: string): readonly Cooler[] {
  const folder = join(root, 'sys/class/thermal')
  return listFolder(folder)
    .filter((name) => /^cooling_device\d+$/.test(name))
    .map((name) => ({
      type: readLine(join(folder, name, 'type')) ?? '',
      state: join(folder, name, 'cur_state'),
    }))
    .filter(({ type }) => type !== '' && !/fan/i.test(type))
}

/** Counters of the SoC's over-current alarms: path by name (`oc1` … `oc3`), from the hwmon device called `soctherm_oc`. */
export function findOverCurrent(root: string): ReadonlyMap<string, string> {
  const hwmon = join(root, 'sys/class/hwmon')
  const found = listFolder(hwmon)
    .filter((name) => readLine(join(hwmon, name, 'name')) === 'soctherm_oc')
    .flatMap((name) =>
      listFolder(join(hwmon, name)).flatMap((file): [string, string][] => {
        const counter = /^(oc\d+)_event_cnt$/.exec(file)?.[1]
        return counter === undefined ? [] : [[counter, join(hwmon, name, file)]]
      }),
    )
  return new Map(found)
}

export function readThrottling(
  coolers: readonly Cooler[],
  files: ValueFiles,
): Pick<Conditions, 'throttling' | 'throttlingReason'> {
  const states = coolers.map(({ type, state }) => ({ type, state: files.numberNow(state) }))
  const known = states.filter(({ state }) => state !== undefined)
  if (known.length === 0) {
    const throttlingReason = coolers.length === 0 ? 'no cooling device was found' : 'no cooling device can be read'
    return { throttling: null, throttlingReason }
  }
  const busy = known.filter(({ state }) => Number(state) > 0).map(({ type }) => type)
  return { throttling: [...new Set(busy)], throttlingReason: null }
}

export function readOverCurrent(
  counters: ReadonlyMap<string, string>,
  files: ValueFiles,
): Pick<Conditions, 'overCurrentEvents' | 'overCurrentEventsReason'> {
  const events: Record<string, number> = {}
  for (const [counter, path] of counters) {
    const count = files.numberNow(path)
    if (count !== undefined && count >= 0) events[counter] = count
  }
  if (Object.keys(events).length > 0) return { overCurrentEvents: events, overCurrentEventsReason: null }
  const overCurrentEventsReason =
    counters.size === 0 ? 'no over-current counter (soctherm_oc) was found' : 'no over-current counter can be read'
  return { overCurrentEvents: null, overCurrentEventsReason }
}
