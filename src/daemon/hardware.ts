import { join } from 'node:path'
import { type BoardClocks, openClocks } from '../clocks/capped.ts'
import { lockClocks } from '../clocks/lock.ts'
import { restore } from '../clocks/restore.ts'
import type { Settings } from '../config/schema.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import { discoverPower } from '../power/discover.ts'
import type { PowerSource } from '../power/source.ts'
import { createMeter, parseMeterAddress } from '../telemetry/meter.ts'
import { createTwin, type Twin } from '../twin/board.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'
import type { Platform } from './platform.ts'

export interface Hardware {
  /** The plant behind the files; null on a real board. */
  readonly twin: Twin | null
  readonly source: PowerSource
  readonly clocks: BoardClocks
}

/** Opens sensors and clocks: the same adapters on a Jetson, on somebody else's tree and on the twin's. */
export async function openHardware(
  { board, root, simulated }: Platform,
  options: {
    readonly stateDir: string
    readonly settings: SensorSettings
    readonly log: Log
    readonly lifecycle: Lifecycle
    readonly onNews?: () => void
  },
): Promise<Hardware> {
  const { stateDir, settings, log, lifecycle, onNews } = options
  const journalPath = join(stateDir, 'clocks.json')
  lifecycle.add('clock lock', await lockClocks(root))
  restoreEarlier(journalPath, log)
  const twin = simulated ? createTwin({ board, root, now: monotonicMs }) : null
  twin?.start()
  if (twin) lifecycle.add('twin', () => twin.stop())
  const sensors = openSensors({ board, root }, settings, onNews)
  const source = twin === null ? sensors : onTime(sensors, twin)
  lifecycle.add('power source', () => source.close())
  // The clocks of a PC are not ours: an empty folder has none.
  const clocks = openClocks({ board, root: board.chip === 'none' ? join(stateDir, 'no-clocks') : root, journalPath })
  if (clocks.gpuReason) log.warn({}, `${clocks.gpuReason}; the budget is held by levels and pauses alone`)
  lifecycle.add('clocks', () => clocks.restore())
  return { twin, source, clocks }
}

/** Sensors of a plant that lives on our own timers: after a delay its turn comes before ours. */
function onTime(sensors: PowerSource, twin: Twin): PowerSource {
  return {
    get name() {
      return sensors.name
    },
    get staleAfterMs() {
      return sensors.staleAfterMs
    },
    read(atMs) {
      twin.catchUp(atMs)
      return sensors.read(atMs)
    },
    close: () => sensors.close(),
  }
}

export type SensorSettings = Pick<Settings, 'tegrastats' | 'sensor' | 'meter'>

/** The sensors as the settings want them. Throws `setting_invalid`. */
export function openSensors(
  { board, root }: Pick<Platform, 'board' | 'root'>,
  settings: SensorSettings,
  onNews?: () => void,
): PowerSource {
  const address = settings.meter === '' ? null : parseMeterAddress(settings.meter)
  return discoverPower(board, {
    root,
    tegrastats: settings.tegrastats || null,
    now: monotonicMs,
    sensor: settings.sensor,
    onNews,
    meter: address && (() => createMeter({ address, now: monotonicMs })),
  })
}

/**
 * What an earlier run left changed comes back first. A clock that refuses does not keep the daemon from starting: its
 * original stays in the journal and comes back at the end. Throws `journal_damaged`.
 */
function restoreEarlier(journalPath: string, log: Log): void {
  try {
    const { files, root, detail } = restore(journalPath)
    if (files.length > 0) log.warn({ files }, `an earlier run ended badly. ${detail}`)
    else if (root !== null) log.info({}, detail)
  } catch (thrown) {
    if (!(thrown instanceof DeapdError) || thrown.code === 'journal_damaged') throw thrown
    log.error({ code: thrown.code, err: thrown }, thrown.message)
  }
}
