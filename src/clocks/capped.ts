import type { Board } from '../board/types.ts'
import type { ClockDomain, CoreDomain } from './clock.ts'
import { createCores } from './cores.ts'
import { createCpuClock } from './cpufreq.ts'
import { createGpuClock, findGpu } from './devfreq.ts'
import { openJournal } from './journal.ts'
import { type AppliedLimit, createKeeper, type Lever } from './keeper.ts'
import type { Slew } from './keeping.ts'
import { type Restored, restore } from './restore.ts'

/** What the governor wants of the board's clocks; null gives a limit back to whoever had set it before us. */
export interface ClockOrder {
  readonly gpuHz: number
  readonly cpuHz?: number | null
  readonly cores?: number | null
}

export interface Applied {
  /** Null where the board has no such clock, and for a limit that is not ours at the moment. */
  readonly gpu: AppliedLimit | null
  readonly cpu: AppliedLimit | null
  readonly cores: AppliedLimit | null
}

export interface BoardClocks {
  /** Null with a reason when the board shows no such clock. */
  readonly gpu: ClockDomain | null
  readonly gpuReason: string | null
  readonly cpu: ClockDomain | null
  readonly cpuReason: string | null
  /** Null when there is but one core that may be switched. */
  readonly cores: CoreDomain | null
  /** Makes the limits these; cheap when they already are. Never throws: what went wrong is in the answer. */
  readonly apply: (order: ClockOrder, atMs: number) => Applied
  /** Puts all originals back and forgets them. */
  readonly restore: () => Restored
}

/** The governor decides how a clock rises; cores come back one by one, for switching one stops the machine for a moment. */
const clockSlew: Slew = { raiseEveryMs: 0, raiseSteps: Number.POSITIVE_INFINITY }
const coreSlew: Slew = { raiseEveryMs: 250, raiseSteps: 1 }

const clockLever = (clock: ClockDomain): Lever => ({
  points: clock.pointsHz,
  slew: clockSlew,
  read: clock.capHz,
  write: clock.setCapHz,
  files: clock.files,
})
const coreLever = (cores: CoreDomain): Lever => ({
  points: cores.counts,
  slew: coreSlew,
  read: cores.online,
  write: cores.setOnline,
  files: cores.files,
})

/** Opens the board's clocks with their journal: the only way to a clock that can be written. */
export function openClocks(options: {
  readonly board: Board
  readonly root: string
  readonly journalPath: string
}): BoardClocks {
  const { board, root, journalPath } = options
  const journal = openJournal(journalPath, root)
  const gpuFolder = findGpu(root, board)
  const gpu = gpuFolder === undefined ? null : createGpuClock(root, board, gpuFolder, journal)
  const anyCpu = createCpuClock(root, board, journal)
  const cpu = anyCpu.pointsHz.length === 0 ? null : anyCpu
  const anyCores = createCores(root, journal)
  const cores = anyCores.counts.length < 2 ? null : anyCores
  const keepers = {
    gpu: gpu && createKeeper(root, clockLever(gpu), journal),
    cpu: cpu && createKeeper(root, clockLever(cpu), journal),
    cores: cores && createKeeper(root, coreLever(cores), journal),
  }

  return {
    gpu,
    gpuReason: gpu === null ? `no GPU clock (${board.gpu.nodeNames.join(', ')}) under ${root}/sys/class/devfreq` : null,
    cpu,
    cpuReason: cpu === null ? `no CPU clock under ${root}/sys/devices/system/cpu/cpufreq` : null,
    cores,
    apply({ gpuHz, cpuHz = null, cores: count = null }, atMs) {
      // Cores first: a cluster that is offline has no clock.
      const switched = keepers.cores?.(count, atMs) ?? null
      return {
        gpu: keepers.gpu?.(gpuHz, atMs) ?? null,
        cpu: keepers.cpu?.(cpuHz, atMs) ?? null,
        cores: switched,
      }
    },
    restore() {
      const restored = restore(journalPath)
      journal.forget()
      return restored
    },
  }
}
