import { join } from 'node:path'
import type { CoreDomain } from './clock.ts'
import type { ClockJournal } from './journal.ts'
import { listFolder, readTextFile, writeClock } from './sysfs.ts'

const cpuFolder = 'sys/devices/system/cpu'

/** Switches of the cores but cpu0, by number. */
export function findCores(root: string): readonly string[] {
  return listFolder(join(root, cpuFolder))
    .filter((name) => /^cpu[1-9]\d*$/.test(name))
    .sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)))
    .map((name) => join(cpuFolder, name, 'online'))
    .filter((file) => readTextFile(join(root, file)) !== undefined)
}

/**
 * The number of cores that are online. Cores that were offline before (the power mode wants it so) stay offline: what was
 * online is taken from the journal when an earlier run left one, else from the board.
 */
export function createCores(root: string, journal: ClockJournal): CoreDomain {
  const isOn = (file: string): boolean => readTextFile(join(root, file)) === '1'
  const wasOn = (file: string): boolean => (journal.originalOf(file)?.trim() ?? (isOn(file) ? '1' : '0')) === '1'
  const ours = findCores(root).filter(wasOn)
  const online = (): number => 1 + ours.filter(isOn).length

  return {
    name: 'cores',
    counts: Array.from({ length: ours.length + 1 }, (_, index) => index + 1),
    online,
    setOnline(count) {
      journal.record(ours)
      const keep = Math.max(0, Math.floor(count) - 1)
      for (const file of ours.slice(keep).reverse()) if (isOn(file)) writeClock(root, file, '0\n')
      for (const file of ours.slice(0, keep)) if (!isOn(file)) writeClock(root, file, '1\n')
      return online()
    },
    files: () => ours,
  }
}
