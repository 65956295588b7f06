import { type Conditions, unknownConditions } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import type { ValueFiles } from './files.ts'
import { readMemory } from './memory.ts'
import { findZones, readHeat, type Zone } from './thermal.ts'
import { findCoolers, findOverCurrent, readOverCurrent, readThrottling } from './throttling.ts'

/** Zones, cooling devices and memory move slowly, and a zone is a question to the power firmware. */
const readEveryMs = 450
/** Between two searches of the tree: soon without a temperature, else for what is missing, else because trips can be changed. */
const searchMs = { withoutHeat: 1000, incomplete: 5000, complete: 60_000 } as const

export interface ConditionsReader {
  read(atMs: number): Promise<Conditions>
}

/** Everything but power that a board tells under its root; over-current counters with every reading, the rest more rarely. */
export function createConditions(board: Board, root: string, files: ValueFiles): ConditionsReader {
  let zones: readonly Zone[] = []
  let coolers: ReturnType<typeof findCoolers> = []
  let counters: ReturnType<typeof findOverCurrent> = new Map()
  let searchedAtMs = Number.NEGATIVE_INFINITY
  let readAtMs = Number.NEGATIVE_INFINITY
  let state: keyof typeof searchMs = 'withoutHeat'
  let slow: Conditions = unknownConditions(board, 'not read yet')

  function search(atMs: number): void {
    searchedAtMs = atMs
    zones = findZones(root)
    coolers = findCoolers(root)
    counters = findOverCurrent(root)
  }

  async function readSlow(): Promise<void> {
    const reason =
      zones.length === 0 ? `no thermal zone under ${root}` : `none of ${zones.length} thermal zones is readable`
    const heat = await readHeat(board, zones, files, reason)
    const throttling = readThrottling(coolers, files)
    slow = { ...slow, ...heat, ...throttling, ...readMemory(root) }
  }

  function stateOf(found: Conditions): keyof typeof searchMs {
    if (found.tjCelsius === null) return 'withoutHeat'
    return found.throttling === null || found.overCurrentEvents === null ? 'incomplete' : 'complete'
  }

  return {
    async read(atMs) {
      const searched = atMs - searchedAtMs >= searchMs[state]
      if (searched) search(atMs)
      if (searched || atMs - readAtMs >= readEveryMs) {
        readAtMs = atMs
        await readSlow()
      }
      const found = { ...slow, ...readOverCurrent(counters, files) }
      state = stateOf(found)
      return found
    },
  }
}
