import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findBoard } from '../board/boards/index.ts'
import { detectBoard } from '../board/detect.ts'
import type { Board } from '../board/types.ts'
import type { Settings } from '../config/schema.ts'
import { DeapdError } from '../errors.ts'

/** Which board this is and where its files are. */
export interface Platform {
  readonly board: Board
  readonly simulated: boolean
  /** Folder that stands for `/` when looking for sensors and clocks. */
  readonly root: string
  readonly why: string
}

/** The board that is simulated when there is no Jetson and none was named. */
export const defaultTwin = 'agx-orin-64gb'

/**
 * The simulated board that was asked for, the Jetson this runs on, or the default simulated one. A named root must hold a
 * board we know. Throws `board_unknown` or `board_not_found`.
 */
export function choosePlatform(settings: Pick<Settings, 'twin' | 'sysfs_root'>, stateDir: string): Platform {
  const twinRoot = join(stateDir, 'twin')
  if (settings.twin) {
    return { board: findBoard(settings.twin), simulated: true, root: twinRoot, why: 'asked for with --twin' }
  }
  const root = settings.sysfs_root || '/'
  const { board, why } = detectBoard(readDeviceTree(root, 'compatible'), readDeviceTree(root, 'model'))
  if (board) return { board, simulated: false, root, why }
  if (settings.sysfs_root) throw new DeapdError('board_not_found', { root, detail: why })
  return { board: findBoard(defaultTwin), simulated: true, root: twinRoot, why: `this machine is not a Jetson: ${why}` }
}

function readDeviceTree(root: string, name: string): string | undefined {
  const path = join(root, 'proc/device-tree', name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}
