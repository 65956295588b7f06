import type { EnergyWindow, EnergyWindows } from '../api/ports.ts'
import type { Reading } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { type ModelCost, partShares, runWork, workWatts } from '../board/work.ts'
import { billOf } from '../energy/bill.ts'
import { busyBetween, type TimedWork, worksAfter } from '../energy/busy.ts'
import { addSample, emptyMeter } from '../energy/integrate.ts'
import { type Booking, book, closeRequest, emptyLedger, type Ledger, openRequest } from '../energy/ledger.ts'
import type { RequestEnergy } from '../energy/request.ts'
import type { StepEvent } from '../engine/protocol.ts'
import type { Twin } from '../twin/board.ts'
import { energyBetween } from '../twin/since.ts'

export interface AccountantOptions {
  readonly board: Board
  readonly cost: ModelCost
  /** The plant whose own energy is booked; null on a real board, where the sensors are integrated. */
  readonly twin: Twin | null
  readonly startMs: number
  /** Milliseconds between two readings at the moment. */
  readonly periodMs: () => number
  readonly gramsPerKwh: number
  /** The clock the engine's work runs at, for the weight of each step. */
  readonly gpuHz: () => number
}

/** Keeps the books: every joule of the meter goes to an answer or to idle. */
export interface Accountant extends EnergyWindows {
  readonly method: RequestEnergy['method']
  ledger(): Ledger
  addStep(step: StepEvent): void
  /** Seconds of prefill and decode between two times. */
  busy(fromMs: number, toMs: number): { prefillSeconds: number; decodeSeconds: number }
  /** Books everything up to this time. Without a new reading the last one stands. */
  settle(atMs: number, reading?: Reading): void
  openAccount(requestId: string): void
  /** Joules booked so far to an open request. */
  joulesOf(requestId: string): number
  closeAccount(requestId: string, completionTokens: number): RequestEnergy
}

/** Closed windows that are kept for the list. */
const windowsKept = 100

export function createAccountant(options: AccountantOptions): Accountant {
  const { board, cost, twin, gramsPerKwh } = options
  const method = twin ? 'simulated' : 'measured'
  let ledger = emptyLedger
  let meter = emptyMeter
  let works: readonly TimedWork[] = []
  let settledMs = options.startMs
  let lastWatts: number | null = null
  let plant = twin?.settle(options.startMs) ?? null
  const windows: { name: string; startedAt: string; endedAt: string | null; from: number; joules: number }[] = []

  /** What the meter says of the time since the last settlement, and who was at work in it. */
  const bookingTo = (atMs: number, reading: Reading | undefined): Booking => {
    if (twin && plant) {
      const before = plant
      plant = twin.settle(atMs)
      return energyBetween(before, plant)
    }
    if (reading) lastWatts = reading.totalWatts
    const { state, interval } = addSample(meter, { atMs, watts: lastWatts }, options.periodMs())
    meter = state
    const staticJoules = board.model.idleWatts * (interval.seconds - interval.unknownSeconds)
    return { ...interval, staticJoules, shares: busyBetween(works, settledMs, atMs).shares }
  }

  const settle: Accountant['settle'] = (atMs, reading) => {
    if (atMs <= settledMs) return
    ledger = book(ledger, bookingTo(atMs, reading))
    settledMs = atMs
  }
  const windowOf = (w: (typeof windows)[number]): EnergyWindow => ({
    name: w.name,
    startedAt: w.startedAt,
    endedAt: w.endedAt,
    joules: w.endedAt === null ? ledger.meterJoules - w.from : w.joules,
    method,
  })

  return {
    method,
    ledger: () => ledger,
    addStep(step) {
      const { phase, startedAtMs, seconds } = step
      const work = runWork(cost, step)
      const joules = workWatts(board.model, options.gpuHz(), work) * seconds
      const shares = partShares(cost, step)
      const parts = step.parts.map(({ requestId }, i) => ({ requestId, share: shares[i], weight: joules * shares[i] }))
      works = [...worksAfter(works, settledMs - 1000), { phase, startedAtMs, seconds, parts }]
      twin?.addStep({ startedAtMs, seconds, work, parts })
    },
    busy: (fromMs, toMs) => busyBetween(works, fromMs, toMs),
    settle,
    openAccount: (requestId) => {
      ledger = openRequest(ledger, requestId)
    },
    joulesOf: (requestId) => ledger.open[requestId]?.joules ?? 0,
    closeAccount(requestId, completionTokens) {
      const closed = closeRequest(ledger, requestId)
      ledger = closed.ledger
      twin?.forget(requestId)
      return billOf(board, closed.account, { method, completionTokens, gramsPerKwh })
    },
    open(name) {
      if (windows.length >= windowsKept) windows.splice(0, 1)
      const window = { name, startedAt: new Date().toISOString(), endedAt: null, from: ledger.meterJoules, joules: 0 }
      windows.push(window)
      return windowOf(window)
    },
    close(name) {
      const window = windows.findLast((w) => w.name === name && w.endedAt === null)
      if (!window) return undefined
      window.joules = ledger.meterJoules - window.from
      window.endedAt = new Date().toISOString()
      return windowOf(window)
    },
    list: () => windows.map(windowOf),
  }
}
