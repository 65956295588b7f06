import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = 'sys/class/power_supply'

/** The charge moves by a percent a minute at most; the snapshot asks twenty times a second. */
const rereadMs = 30_000

/** The charge of the board's battery, looked up now and then; null without one. */
export function watchBattery(root: string, now: () => number): () => number | null {
  let percent: number | null = null
  let readAtMs = Number.NEGATIVE_INFINITY
  return () => {
    if (now() - readAtMs < rereadMs) return percent
    readAtMs = now()
    percent = batteryPercent(root)
    return percent
  }
}

/** Charge of the first battery under the root in percent; null without one. */
export function batteryPercent(root: string): number | null {
  const read = (name: string, file: string): string => {
    try {
      return readFileSync(join(root, folder, name, file), 'utf8').trim()
    } catch {
      return ''
    }
  }
  let names: readonly string[]
  try {
    names = readdirSync(join(root, folder)).sort()
  } catch {
    return null
  }
  for (const name of names) {
    const capacity = read(name, 'capacity')
    // A mouse has a battery too; it powers a device, not the board.
    if (read(name, 'type') !== 'Battery' || read(name, 'scope') === 'Device' || !/^\d+$/.test(capacity)) continue
    return Math.min(100, Number(capacity))
  }
  return null
}
