import { join } from 'node:path'
import type { Board } from '../board/types.ts'
import type { ClockDomain } from './clock.ts'
import type { ClockJournal } from './journal.ts'
import { isThere, listFolder, readHz, readList, readTextFile, unreadable, writeClock } from './sysfs.ts'

/** Where devfreq devices are: the class, and the device folders of R36.4+, R36.2 and R35 for trees without it (§3.1). */
const classFolder = 'sys/class/devfreq'
const deviceFolders = ['sys/devices/platform/bus@0', 'sys/devices/platform', 'sys/devices']

/**
 * Folder of the GPU's devfreq device relative to the root: the one whose device-tree node has the board's name, as NVIDIA's
 * jetson_clocks looks it up; in trees without `of_node`, the one called like `17000000.gpu`, or `gpu-gpc-0` on Thor.
 */
export function findGpu(root: string, board: { readonly gpu: Pick<Board['gpu'], 'nodeNames'> }): string | undefined {
  const { nodeNames } = board.gpu
  const names = listFolder(join(root, classFolder))
  const nodeOf = (name: string) => readTextFile(join(root, classFolder, name, 'device/of_node/name'))
  const named = (name: string) => nodeNames.some((node) => name === node || name.endsWith(`.${node}`))
  const found =
    names.find((name) => nodeNames.includes(nodeOf(name) ?? '')) ??
    names.find((name) => nodeOf(name) === undefined && named(name)) ??
    names.find((name) => /^gpu-gpc-\d+$/.test(name))
  if (found !== undefined) return join(classFolder, found)
  return deviceFolders
    .flatMap((folder) =>
      listFolder(join(root, folder))
        .filter(named)
        .map((name) => join(folder, name, 'devfreq', name)),
    )
    .find((folder) => isThere(root, join(folder, 'max_freq')))
}

/** The GPU's clock cap. It cannot be made without a journal, so nobody can write a clock whose original is not saved. */
export function createGpuClock(root: string, board: Board, folder: string, journal: ClockJournal): ClockDomain {
  const capFile = join(folder, 'max_freq')
  const floorFile = join(folder, 'min_freq')
  const listed = readList(join(root, folder, 'available_frequencies'))
  const pointsHz = listed.length > 0 ? listed : board.gpu.pointsHz
  const files = () => [floorFile, capFile].filter((file) => isThere(root, file))

  const capHz = (): number => {
    const hz = readHz(join(root, capFile))
    if (hz === undefined) throw unreadable(join(root, capFile))
    return hz
  }

  return {
    name: 'gpu',
    pointsHz,
    currentHz: () => readHz(join(root, folder, 'cur_freq')) ?? null,
    capHz,
    setCapHz(hz) {
      const target = pointsHz.findLast((point) => point <= hz) ?? pointsHz[0]
      const floor = readHz(join(root, floorFile))
      journal.record([...new Set([...files(), capFile])])
      // A cap below the floor is refused (EINVAL) or clamped: the floor goes down first. It is never raised again here.
      if (floor !== undefined && floor > target) writeClock(root, floorFile, `${pointsHz[0]}\n`)
      writeClock(root, capFile, `${target}\n`)
      return capHz()
    },
    files,
  }
}
