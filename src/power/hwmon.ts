import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Reading, totalPower } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { readNumber, readText } from './number-file.ts'
import type { PowerSource } from './source.ts'
import { readThermal } from './thermal.ts'

/** One channel of a power monitor: millivolts times milliamperes, by the label the device tree gave it. */
export interface Channel {
  readonly label: string
  readonly millivolts: string
  readonly milliamperes: string
}

const chips = ['ina3221', 'ina238']

/** Between two searches of the tree while a rail of the total is missing: hwmon numbers change when a driver re-binds. */
const searchEveryMs = 1000

/** Every labelled channel under `<root>/sys/class/hwmon`; unused ones (`NC`) and the sum channel are left out. */
export async function findChannels(root: string): Promise<readonly Channel[]> {
  const folder = join(root, 'sys/class/hwmon')
  const names = await readdir(folder).catch(() => [])
  const lists = await Promise.all(names.sort().map((name) => channelsOf(join(folder, name))))
  return lists.flat()
}

async function channelsOf(folder: string): Promise<Channel[]> {
  const chip = await readText(join(folder, 'name'))
  if (chip === undefined || !chips.includes(chip)) return []
  const channels: Channel[] = []
  for (const number of [1, 2, 3]) {
    const label = await readText(join(folder, `in${number}_label`))
    if (label === undefined || label === '' || /\bNC\b/.test(label) || label === 'sum of shunt voltages') continue
    channels.push({
      label,
      millivolts: join(folder, `in${number}_input`),
      milliamperes: join(folder, `curr${number}_input`),
    })
  }
  return channels
}

/** The INA3221/INA238 sensors under a root folder; read at most 20 times a second, they refresh every 45 ms (§2.1). */
export function createHwmonSource(board: Board, root: string): PowerSource {
  let channels: readonly Channel[] = []
  let searchedAtMs = Number.NEGATIVE_INFINITY

  async function railWatts(): Promise<Record<string, number>> {
    const rails: Record<string, number> = {}
    await Promise.all(
      channels.map(async ({ label, millivolts, milliamperes }) => {
        const [volts, amperes] = await Promise.all([readNumber(millivolts), readNumber(milliamperes)])
        if (volts !== undefined && amperes !== undefined) rails[label] = (volts * amperes) / 1e6
      }),
    )
    return rails
  }

  const complete = (rails: Record<string, number>): boolean => board.total.rails.every((label) => label in rails)

  return {
    name: 'hwmon',
    staleAfterMs: 500,
    async read(atMs: number): Promise<Reading> {
      const thermal = readThermal(root)
      let rails = await railWatts()
      if (!complete(rails) && atMs - searchedAtMs >= searchEveryMs) {
        searchedAtMs = atMs
        channels = await findChannels(root)
        rails = await railWatts()
      }
      const { tjCelsius, tjCelsiusReason } = await thermal
      return { atMs, source: 'hwmon', railWatts: rails, ...totalPower(board, rails), tjCelsius, tjCelsiusReason }
    },
    async close() {},
  }
}
