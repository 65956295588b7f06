import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { host } from '../board/boards/host.ts'
import { boards, findBoard } from '../board/boards/index.ts'
import { detectBoard } from '../board/detect.ts'
import type { Board } from '../board/types.ts'
import { findGpu } from '../clocks/devfreq.ts'
import { readList } from '../clocks/sysfs.ts'
import type { Settings } from '../config/schema.ts'
import { DeapdError } from '../errors.ts'
import { hostSensors } from '../power/discover.ts'
import { findChannels, findIioChannels } from '../power/hwmon.ts'

/** Which board this is and where its files are. */
export interface Platform {
  readonly board: Board
  readonly simulated: boolean
  /** False where deapd does not know the part number and went by the rails. */
  readonly certain: boolean
  /** Folder that stands for `/` when looking for sensors and clocks. */
  readonly root: string
  readonly why: string
}

/** The board that is simulated when there is no Jetson and none was named. */
export const defaultTwin = 'agx-orin-64gb'

/**
 * The simulated board that was asked for, the Jetson this runs on, a PC whose own instruments were asked for, or the default
 * simulated board. A named root must hold a board we know. Throws `board_unknown` or `board_not_found`.
 */
export function choosePlatform(
  settings: Pick<Settings, 'twin' | 'sysfs_root'> & Partial<Pick<Settings, 'sensor'>>,
  stateDir: string,
): Platform {
  const twinRoot = join(stateDir, 'twin')
  if (settings.twin) {
    return {
      board: findBoard(settings.twin),
      simulated: true,
      certain: true,
      root: twinRoot,
      why: 'asked for with --twin',
    }
  }
  const root = settings.sysfs_root || '/'
  const { board, certain, why } = detectBoard(readDeviceTree(root, 'compatible'), readDeviceTree(root, 'model'), {
    rails: [...findChannels(root), ...findIioChannels(root)].map(({ label }) => label),
    gpuHz: gpuPoints(root),
  })
  if (board) return { board, simulated: false, certain, root, why }
  if (settings.sysfs_root) throw new DeapdError('board_not_found', { root, detail: why })
  if (hostSensors.some((name) => name === settings.sensor)) {
    return {
      board: host,
      simulated: false,
      certain: true,
      root,
      why: `measured with --sensor ${settings.sensor}; ${why}`,
    }
  }
  return {
    board: findBoard(defaultTwin),
    simulated: true,
    certain: true,
    root: twinRoot,
    why: `this machine is not a Jetson: ${why}`,
  }
}

/** The points of whatever GPU clock the tree has; the kind of board is not known yet. */
function gpuPoints(root: string): readonly number[] {
  const nodeNames = [...new Set(boards.flatMap(({ gpu }) => gpu.nodeNames))]
  const folder = findGpu(root, { gpu: { nodeNames } })
  return folder === undefined ? [] : readList(join(root, folder, 'available_frequencies'))
}

function readDeviceTree(root: string, name: string): string | undefined {
  const path = join(root, 'proc/device-tree', name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}
