import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readNumber, readText } from './number-file.ts'

export interface Temperatures {
  readonly zones: Readonly<Record<string, number>>
  readonly tjCelsius: number | null
  readonly tjCelsiusReason: string | null
}

/** Thermal zones under `<root>/sys/class/thermal`; a zone that is powered down is absent (hardware.md §2.3). */
export async function readThermal(root: string): Promise<Temperatures> {
  const folder = join(root, 'sys/class/thermal')
  const names = await readdir(folder).catch(() => [])
  const zones: Record<string, number> = {}
  const found = names.filter((name) => name.startsWith('thermal_zone'))
  await Promise.all(
    found.map(async (name) => {
      const [type, milli] = await Promise.all([
        readText(join(folder, name, 'type')),
        readNumber(join(folder, name, 'temp')),
      ])
      if (type !== undefined && milli !== undefined) zones[type] = milli / 1000
    }),
  )
  return hottest(zones, found.length === 0 ? `no thermal zone under ${folder}` : `no zone under ${folder} is readable`)
}

/**
 * Junction temperature: the hottest of all zones, because tj and its parts are not read in the same moment (§1.1). -256 °C
 * is a zone that is off; PMIC zones report a made-up 100 or 50 °C.
 */
export function hottest(zones: Readonly<Record<string, number>>, noneReason: string): Temperatures {
  const live = Object.fromEntries(Object.entries(zones).filter(([name, value]) => value > -200 && !/pmic/i.test(name)))
  const values = Object.values(live)
  if (values.length === 0) return { zones: live, tjCelsius: null, tjCelsiusReason: noneReason }
  return { zones: live, tjCelsius: Math.max(...values), tjCelsiusReason: null }
}
