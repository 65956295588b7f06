import type { Board } from '../board/types.ts'
import type { ClockDomain } from './clock.ts'
import { createCpuClock, findPolicies } from './cpufreq.ts'
import { createGpuClock, findGpu } from './devfreq.ts'
import { openJournal } from './journal.ts'
import { type Restored, restore } from './restore.ts'

export interface Applied {
  /** The cap the board has now. */
  readonly capHz: number
  /** True when it had to be written: a new cap, or somebody else (nvpmodel, a driver re-bind) had changed it. */
  readonly wrote: boolean
  /** The value somebody else had set, when that is why it was written. */
  readonly driftedFromHz: number | null
}

export interface BoardClocks {
  /** Null with a reason when the board shows no such clock. */
  readonly gpu: ClockDomain | null
  readonly gpuReason: string | null
  readonly cpu: ClockDomain | null
  readonly cpuReason: string | null
  /** Makes the GPU cap this one; cheap when it already is. Throws `clock_refused`. */
  readonly applyGpu: (hz: number) => Promise<Applied | null>
  /** Puts all originals back and forgets them. */
  readonly restore: () => Restored
}

/** Opens the board's clocks with their journal: the only way to a clock that can be written. */
export function openClocks(options: {
  readonly board: Board
  readonly root: string
  readonly journalPath: string
}): BoardClocks {
  const { board, root, journalPath } = options
  const journal = openJournal(journalPath, root)
  const gpuFolder = findGpu(root, board)
  const policies = findPolicies(root)
  const gpu = gpuFolder === undefined ? null : createGpuClock(root, board, gpuFolder, journal)
  const cpu = policies.length === 0 ? null : createCpuClock(root, board, policies, journal)
  let asked: number | null = null
  let became: number | null = null

  return {
    gpu,
    gpuReason: gpu === null ? `no GPU clock (${board.gpu.nodeNames.join(', ')}) under ${root}/sys/class/devfreq` : null,
    cpu,
    cpuReason: cpu === null ? `no CPU clock under ${root}/sys/devices/system/cpu/cpufreq` : null,
    async applyGpu(hz) {
      if (gpu === null) return null
      const now = await gpu.capHz()
      // What the board made of the same order before counts as done: it snaps to its own points.
      if (now === hz || (asked === hz && now === became)) return { capHz: now, wrote: false, driftedFromHz: null }
      const driftedFromHz = asked === hz ? now : null
      became = await gpu.setCapHz(hz)
      asked = hz
      return { capHz: became, wrote: true, driftedFromHz }
    },
    restore() {
      asked = null
      became = null
      const restored = restore(journalPath)
      journal.forget()
      return restored
    },
  }
}
