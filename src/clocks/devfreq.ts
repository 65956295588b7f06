import { join } from 'node:path'
import type { Board } from '../board/types.ts'
import type { ClockDomain } from './clock.ts'
import type { ClockJournal } from './journal.ts'
import { listFolder, readHz, readList, readTextFile, unreadable, writeClock } from './sysfs.ts'

const devfreq = 'sys/class/devfreq'

/**
 * Folder of the GPU's devfreq device relative to the root: the one whose device-tree node has the board's name, as NVIDIA's
 * jetson_clocks looks it up; in trees without `of_node`, the one called like `17000000.gpu`.
 */
export function findGpu(root: string, board: Board): string | undefined {
  const names = listFolder(join(root, devfreq))
  const nodeOf = (name: string) => readTextFile(join(root, devfreq, name, 'device/of_node/name'))
  const found =
    names.find((name) => board.gpu.nodeNames.includes(nodeOf(name) ?? '')) ??
    names.find((name) => nodeOf(name) === undefined && board.gpu.nodeNames.some((node) => name.endsWith(`.${node}`)))
  return found === undefined ? undefined : join(devfreq, found)
}

/** The GPU's clock cap. It cannot be made without a journal, so nobody can write a clock whose original is not saved. */
export function createGpuClock(root: string, board: Board, folder: string, journal: ClockJournal): ClockDomain {
  const capFile = join(folder, 'max_freq')
  const floorFile = join(folder, 'min_freq')
  const listed = readList(join(root, folder, 'available_frequencies'))
  const pointsHz = listed.length > 0 ? listed : board.gpu.pointsHz

  const capHz = async (): Promise<number> => {
    const hz = readHz(join(root, capFile))
    if (hz === undefined) throw unreadable(join(root, capFile))
    return hz
  }

  return {
    name: 'gpu',
    pointsHz,
    async currentHz() {
      return readHz(join(root, folder, 'cur_freq')) ?? null
    },
    capHz,
    async setCapHz(hz) {
      const target = pointsHz.findLast((point) => point <= hz) ?? pointsHz[0]
      const floor = readHz(join(root, floorFile))
      journal.record([floorFile, capFile])
      // A cap below the floor is refused (EINVAL) or clamped: the floor goes down first. It is never raised again here.
      if (floor !== undefined && floor > target) writeClock(root, floorFile, `${pointsHz[0]}\n`)
      writeClock(root, capFile, `${target}\n`)
      return capHz()
    },
  }
}
