import { existsSync } from 'node:fs'
import type { Board } from '../board/types.ts'
import { DeapdError } from '../errors.ts'
import { createBoardSource, type Offer } from './board-source.ts'
import { createConditions } from './conditions.ts'
import { openValueFiles } from './files.ts'
import { createHwmon, createIio } from './hwmon.ts'
import { createNvidiaSmi } from './nvidia-smi.ts'
import { createRapl } from './rapl.ts'
import { createReplay } from './replay.ts'
import type { Instrument, PowerSource } from './source.ts'
import { createTegrastats } from './tegrastats.ts'

/** What NVIDIA's package installs on every Jetson; five lines a second are well above its least interval. */
const ownTegrastats = '/usr/bin/tegrastats'
const ownCommand = `${ownTegrastats} --interval 200`

/** Instruments that measure a computer which is no Jetson; chosen by name only. */
export const hostSensors = ['nvidia-smi', 'rapl', 'meter'] as const

export interface SensorOptions {
  /** Folder that stands for `/`. */
  readonly root: string
  readonly tegrastats: string | null
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** `auto`, the name of one instrument, or `replay:FILE[@SPEED]`. */
  readonly sensor?: string
  /** Called when an instrument that sends by itself has sent something. */
  readonly onNews?: () => void
  /** Opens the external meter; absent where none is set. */
  readonly meter?: (() => Instrument) | null
}

/**
 * The board's sensors, best first: its power monitors, those of old releases, then a tegrastats child where a command was
 * given or the board has its own, then the external meter. None is settled at the start: each is looked for while those
 * before it are blind. Throws `setting_invalid` for a sensor that does not exist.
 */
export function discoverPower(board: Board, options: SensorOptions): PowerSource {
  const { root, now, sensor = 'auto', meter, onNews } = options
  const files = openValueFiles()
  const command = options.tegrastats ?? (root === '/' && existsSync(ownTegrastats) ? ownCommand : null)
  const offers: Readonly<Record<string, Offer | null>> = {
    hwmon: { open: () => createHwmon(board, root, files) },
    iio: { open: () => createIio(board, root, files) },
    tegrastats: command === null ? null : { open: () => createTegrastats(board, { command, now, onNews }) },
    meter: meter ? { open: meter } : null,
    'nvidia-smi': { open: () => createNvidiaSmi({ now }) },
    rapl: { open: () => createRapl(root, files) },
  }
  const chosen = sensor === 'auto' ? [offers.hwmon, offers.iio, offers.tegrastats, offers.meter] : [named(sensor)]

  function named(name: string): Offer {
    const replay = /^replay:(.+?)(?:@(\d+(?:\.\d+)?))?$/.exec(name)
    if (replay) return { open: () => createReplay(board, { file: replay[1], speed: Number(replay[2] ?? 1) || 1 }) }
    const offer = Object.hasOwn(offers, name) ? offers[name] : undefined
    if (offer) return offer
    const missing = { tegrastats: 'it needs `--tegrastats CMD`', meter: 'it needs `--meter URL`' }[name]
    const known = ['auto', ...Object.keys(offers), 'replay:FILE[@SPEED]'].join(', ')
    const detail = missing ?? `it must be one of ${known}`
    throw new DeapdError('setting_invalid', { name: 'sensor', value: name, detail, source: '--sensor' })
  }

  return createBoardSource(board, {
    conditions: createConditions(board, root, files),
    instruments: chosen.filter((offer) => offer !== null),
    close: () => files.close(),
  })
}
