import { join } from 'node:path'
import { type BoardClocks, openClocks } from '../clocks/capped.ts'
import { restore } from '../clocks/restore.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { discoverPower } from '../power/discover.ts'
import type { PowerSource } from '../power/source.ts'
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
    readonly tegrastats: string | null
    readonly log: Log
    readonly lifecycle: Lifecycle
  },
): Promise<Hardware> {
  const { stateDir, tegrastats, log, lifecycle } = options
  const journalPath = join(stateDir, 'clocks.json')
  // What an earlier run could not put back comes first: nothing may be journalled over it.
  const restored = restore(journalPath)
  if (restored.files.length > 0) log.warn({ files: restored.files }, `an earlier run ended badly. ${restored.detail}`)
  const twin = simulated ? createTwin({ board, root, now: monotonicMs }) : null
  twin?.start()
  if (twin) lifecycle.add('twin', () => twin.stop())
  const source = discoverPower(board, { root, tegrastats, now: monotonicMs })
  lifecycle.add('power source', () => source.close())
  const clocks = openClocks({ board, root, journalPath })
  if (clocks.gpuReason) log.warn({}, `${clocks.gpuReason}; the budget is held by levels and pauses alone`)
  lifecycle.add('clocks', () => clocks.restore())
  return { twin, source, clocks }
}
