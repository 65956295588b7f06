import { type Conditions, type Reading, unknownPower } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import type { ConditionsReader } from './conditions.ts'
import type { Instrument, InstrumentReading, PowerSource } from './source.ts'
import { heatOf } from './thermal.ts'

/** An instrument that could be used; opening it may start a process. */
export interface Offer {
  open(): Instrument
}

/** How long an instrument that worked must have been blind before the next one is opened. */
const patienceMs = 1000

/**
 * One source of several instruments, best first: the reading is that of the first which knows the total. A later one is
 * opened when all before it stay blind, and closed when one of them sees again.
 */
export function createBoardSource(
  board: Board,
  parts: {
    readonly conditions: ConditionsReader
    readonly instruments: readonly Offer[]
    /** Said when there is no instrument at all. */
    readonly noneReason?: string
    readonly close?: () => void
  },
): PowerSource {
  const { conditions, instruments, noneReason = 'no power sensor was found' } = parts
  const open = new Map<Offer, { readonly instrument: Instrument; knownAtMs: number }>()
  const closing = new Set<Promise<void>>()
  let name = 'none'
  let staleAfterMs = 500
  let closed: Promise<void> | null = null

  function opened(offer: Offer) {
    const entry = open.get(offer) ?? { instrument: offer.open(), knownAtMs: Number.NEGATIVE_INFINITY }
    open.set(offer, entry)
    return entry
  }

  function closeAfter(index: number): void {
    for (const offer of instruments.slice(index + 1)) {
      const entry = open.get(offer)
      if (entry === undefined) continue
      open.delete(offer)
      const done = entry.instrument.close().finally(() => closing.delete(done))
      closing.add(done)
    }
  }

  async function readPower(atMs: number): Promise<InstrumentReading> {
    const blind: InstrumentReading[] = []
    for (const [index, offer] of instruments.entries()) {
      const entry = opened(offer)
      const reading = await entry.instrument.read(atMs)
      if (reading.totalWatts !== null) {
        entry.knownAtMs = atMs
        name = entry.instrument.name
        staleAfterMs = entry.instrument.staleAfterMs
        closeAfter(index)
        return reading
      }
      blind.push(reading)
      if (atMs - entry.knownAtMs < patienceMs) break
    }
    if (blind.length === 0) return unknownPower(board, atMs, 'none', noneReason)
    name = blind[0].source
    if (blind.length === 1) return blind[0]
    const totalWattsReason = blind.map((reading) => `${reading.source}: ${reading.totalWattsReason}`).join('; ')
    return { ...blind[0], totalWattsReason: `no power sensor answers: ${totalWattsReason}` }
  }

  return {
    get name() {
      return name
    },
    get staleAfterMs() {
      return staleAfterMs
    },
    async read(atMs): Promise<Reading> {
      const [power, state] = await Promise.all([readPower(atMs), conditions.read(atMs)])
      const { zoneCelsius, memory, ...reading } = power
      return { ...reading, ...merged(state, zoneCelsius, memory) }
    },
    close() {
      closed ??= (async () => {
        closeAfter(-1)
        await Promise.all(closing)
        parts.close?.()
      })()
      return closed
    },
  }
}

/** Temperatures that came with the power count where the board's own zones say nothing or less. */
function merged(
  state: Conditions,
  zones: InstrumentReading['zoneCelsius'],
  memory: InstrumentReading['memory'],
): Conditions {
  const withMemory = state.memory === null && memory ? { ...state, memory, memoryReason: null } : state
  if (zones === undefined) return withMemory
  const heat = heatOf(zones, state.trips, '')
  if (heat.tjCelsius === null || (state.tjCelsius ?? Number.NEGATIVE_INFINITY) >= heat.tjCelsius) return withMemory
  return { ...withMemory, ...heat }
}
