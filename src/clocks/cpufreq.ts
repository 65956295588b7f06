import { join } from 'node:path'
import type { Board } from '../board/types.ts'
import type { ClockDomain } from './clock.ts'
import type { ClockJournal } from './journal.ts'
import { listFolder, readHz, readList, unreadable, writeClock } from './sysfs.ts'

const cpufreq = 'sys/devices/system/cpu/cpufreq'

/** Steps of the Orin CPU clock (hardware.md §3.2), for kernels that do not list them. */
const stepHz = 76_800_000

/** Clusters that are online; a cluster that is wholly offline has no folder. */
export function findPolicies(root: string): readonly string[] {
  return listFolder(join(root, cpufreq))
    .filter((name) => /^policy\d+$/.test(name))
    .map((name) => join(cpufreq, name))
}

/** One cap for all CPU clusters. The files are in kHz. */
export function createCpuClock(
  root: string,
  board: Board,
  policies: readonly string[],
  journal: ClockJournal,
): ClockDomain {
  const capFiles = policies.map((policy) => join(policy, 'scaling_max_freq'))
  const floorFiles = policies.map((policy) => join(policy, 'scaling_min_freq'))
  const listed = readList(join(root, policies[0], 'scaling_available_frequencies')).map((khz) => khz * 1000)
  const pointsHz = (listed.length > 0 ? listed : stepsOf(board)).filter((hz) => hz >= board.cpu.minHz)

  const capHz = async (): Promise<number> => {
    const caps = capFiles.map((file) => readHz(join(root, file))).filter((khz) => khz !== undefined)
    if (caps.length === 0) throw unreadable(join(root, capFiles[0]))
    return Math.max(...caps) * 1000
  }

  return {
    name: 'cpu',
    pointsHz,
    async currentHz() {
      const clocks = policies
        .map((policy) => readHz(join(root, policy, 'scaling_cur_freq')))
        .filter((khz) => khz !== undefined)
      return clocks.length === 0 ? null : Math.max(...clocks) * 1000
    },
    capHz,
    async setCapHz(hz) {
      const target = Math.round((pointsHz.findLast((point) => point <= hz) ?? pointsHz[0]) / 1000)
      journal.record([...floorFiles, ...capFiles])
      for (const [index, file] of capFiles.entries()) {
        const floor = readHz(join(root, floorFiles[index]))
        if (floor !== undefined && floor > target) writeClock(root, floorFiles[index], `${target}\n`)
        writeClock(root, file, `${target}\n`)
      }
      return capHz()
    },
  }
}

function stepsOf(board: Board): readonly number[] {
  const count = Math.round((board.cpu.maxHz - board.cpu.minHz) / stepHz)
  return Array.from({ length: count + 1 }, (_, index) => Math.min(board.cpu.maxHz, board.cpu.minHz + index * stepHz))
}
