import { join } from 'node:path'
import { totalPower, unknownPower, withRuleFor } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { createBoardSource } from './board-source.ts'
import { createConditions } from './conditions.ts'
import { listFolder, openValueFiles, readLine, type ValueFiles } from './files.ts'
import type { Instrument, PowerSource } from './source.ts'

/** One channel of a power monitor by the label the device tree gave it: power, or volts times amperes. */
export interface Channel {
  readonly label: string
  /** Paths of the factors: their product times `scale` is watts. */
  readonly factors: readonly string[]
  readonly scale: number
}

/** Between two searches of the tree while a rail of the total is missing: hwmon numbers change when a driver re-binds. */
const searchEveryMs = 1000

const isUnused = (label: string): boolean => label === '' || /\bNC\b/.test(label) || label === 'sum of shunt voltages'

/**
 * Every labelled channel under `<root>/sys/class/hwmon`. The kernel numbers the chips as it finds them, so only names and
 * labels are relied on. Unused channels (`NC`) and the sum channel are left out.
 */
export function findChannels(root: string): readonly Channel[] {
  const folder = join(root, 'sys/class/hwmon')
  return listFolder(folder).flatMap((name) => {
    const chip = join(folder, name)
    const find = chips[readLine(join(chip, 'name')) ?? '']
    return find === undefined ? [] : find(chip)
  })
}

/** How each kind of power monitor shows its channels (hardware.md §2.1). */
const chips: Readonly<Record<string, (folder: string) => readonly Channel[]>> = {
  ina3221: (folder) =>
    [1, 2, 3].flatMap((number) => {
      const label = readLine(join(folder, `in${number}_label`))
      if (label === undefined || isUnused(label)) return []
      const factors = [join(folder, `in${number}_input`), join(folder, `curr${number}_input`)]
      return [{ label, factors, scale: 1e-6 }]
    }),
  // One channel. Its label stands at the channel or at the chip; the only one there is on a Jetson is Thor's board input.
  ina238: (folder) => {
    const label = readLine(join(folder, 'in1_label')) || readLine(join(folder, 'label')) || 'VIN'
    return [{ label, factors: [join(folder, 'in1_input'), join(folder, 'curr1_input')], scale: 1e-6 }]
  },
}

/**
 * The monitor of old releases (R32, `ina3221x`), an IIO device with power in milliwatts per named rail (hardware.md §2.1).
 */
export function findIioChannels(root: string): readonly Channel[] {
  const driver = join(root, 'sys/bus/i2c/drivers/ina3221x')
  return listFolder(driver)
    .filter((name) => /^\d+-[0-9a-f]{4}$/.test(name))
    .flatMap((chip) =>
      listFolder(join(driver, chip))
        .filter((name) => name.startsWith('iio:device'))
        .map((name) => join(driver, chip, name)),
    )
    .flatMap((device) =>
      [0, 1, 2].flatMap((number) => {
        const label = readLine(join(device, `rail_name_${number}`))
        if (label === undefined || isUnused(label)) return []
        return [{ label, factors: [join(device, `in_power${number}_input`)], scale: 1e-3 }]
      }),
    )
}

/** Power monitors of the board itself; read at most 20 times a second, they refresh every 45 ms (§2.1). */
function createMonitor(
  name: string,
  board: Board,
  root: string,
  files: ValueFiles,
  find: (root: string) => readonly Channel[],
): Instrument {
  let channels: readonly Channel[] = []
  let ruled = board
  let searchedAtMs = Number.NEGATIVE_INFINITY

  async function readRails(): Promise<Record<string, number>> {
    const values = await files.numbers(channels.flatMap(({ factors }) => factors))
    const rails: Record<string, number> = {}
    let at = 0
    for (const { label, factors, scale } of channels) {
      const own = values.slice(at, at + factors.length)
      at += factors.length
      if (own.every((value) => value !== undefined))
        rails[label] = own.reduce((product, value) => product * value, scale)
    }
    return rails
  }

  return {
    name,
    staleAfterMs: 500,
    async read(atMs) {
      let rails = await readRails()
      let total = totalPower(ruled, rails)
      if (total.totalWatts === null && atMs - searchedAtMs >= searchEveryMs) {
        searchedAtMs = atMs
        channels = find(root)
        ruled = withRuleFor(
          ruled,
          channels.map(({ label }) => label),
        )
        rails = await readRails()
        total = totalPower(ruled, rails)
      }
      if (channels.length === 0) return unknownPower(board, atMs, name, `no power monitor under ${root}`)
      return { atMs, source: name, railWatts: rails, ...total }
    },
    async close() {},
  }
}

export function createHwmon(board: Board, root: string, files: ValueFiles): Instrument {
  return createMonitor('hwmon', board, root, files, findChannels)
}

export function createIio(board: Board, root: string, files: ValueFiles): Instrument {
  return createMonitor('iio', board, root, files, findIioChannels)
}

/** The board's own sensors alone, for trees that are known to have them. */
export function createHwmonSource(board: Board, root: string): PowerSource {
  const files = openValueFiles()
  return createBoardSource(board, {
    conditions: createConditions(board, root, files),
    instruments: [{ open: () => createHwmon(board, root, files) }],
    close: () => files.close(),
  })
}
