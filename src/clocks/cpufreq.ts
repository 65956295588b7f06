import { join } from 'node:path'
import type { Board } from '../board/types.ts'
import type { ClockDomain } from './clock.ts'
import type { ClockJournal } from './journal.ts'
import { isThere, listFolder, readHz, readList, unreadable, writeClock } from './sysfs.ts'

const cpufreq = 'sys/devices/system/cpu/cpufreq'

/** Steps of the Orin CPU clock (hardware.md §3.2), for kernels that do not list them. */
const stepHz = 76_800_000

/** Clusters that have a clock now, by number; a cluster that is wholly offline has no folder. */
export function findPolicies(root: string): readonly string[] {
  return listFolder(join(root, cpufreq))
    .filter((name) => /^policy\d+$/.test(name))
    .sort((a, b) => Number(a.slice(6)) - Number(b.slice(6)))
    .map((name) => join(cpufreq, name))
    .filter((policy) => isThere(root, join(policy, 'scaling_max_freq')))
}

/** One cap for all CPU clusters, each on a point of its own list. The files are in kHz. */
export function createCpuClock(root: string, board: Board, journal: ClockJournal): ClockDomain {
  // Clusters come and go with their cores: they are looked for each time.
  const policies = () => findPolicies(root)
  const pointsOf = (policy: string): readonly number[] => {
    const listed = readList(join(root, policy, 'scaling_available_frequencies')).map((khz) => khz * 1000)
    const points = (listed.length > 0 ? listed : stepsOf(board)).filter((hz) => hz >= board.cpu.minHz)
    return points.length > 0 ? points : stepsOf(board)
  }
  const pointsHz = [...new Set(policies().flatMap(pointsOf))].sort((a, b) => a - b)
  const files = () =>
    policies()
      .flatMap((policy) => [join(policy, 'scaling_min_freq'), join(policy, 'scaling_max_freq')])
      .filter((file) => isThere(root, file))

  const highest = (file: string): number | undefined => {
    const khz = policies()
      .map((policy) => readHz(join(root, policy, file)))
      .filter((value) => value !== undefined)
    return khz.length === 0 ? undefined : Math.max(...khz) * 1000
  }
  const capHz = (): number => {
    const hz = highest('scaling_max_freq')
    if (hz === undefined) throw unreadable(join(root, cpufreq, 'policy*/scaling_max_freq'))
    return hz
  }

  return {
    name: 'cpu',
    pointsHz,
    currentHz: () => highest('scaling_cur_freq') ?? null,
    capHz,
    setCapHz(hz) {
      journal.record(files())
      for (const policy of policies()) {
        const points = pointsOf(policy)
        const target = Math.round((points.findLast((point) => point <= hz) ?? points[0]) / 1000)
        const floorFile = join(policy, 'scaling_min_freq')
        const floor = readHz(join(root, floorFile))
        if (floor !== undefined && floor > target) writeClock(root, floorFile, `${target}\n`)
        writeClock(root, join(policy, 'scaling_max_freq'), `${target}\n`)
      }
      return capHz()
    },
    files,
  }
}

/** From the lowest up in steps; the highest clock stands above its last step. */
function stepsOf({ cpu: { minHz, maxHz } }: Board): readonly number[] {
  const count = Math.ceil((maxHz - minHz) / stepHz)
  return [...Array.from({ length: count }, (_, index) => minHz + index * stepHz), maxHz]
}
