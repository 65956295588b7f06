import type { EnergyWindows } from '../api/ports.ts'
import { type Reading, withRuleNamed } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { type ModelCost, partShares, runWork, workWatts } from '../board/work.ts'
import { billOf } from '../energy/bill.ts'
import { lateBetween, ranBetween, sharesBetween, type TimedWork, worksAfter } from '../energy/busy.ts'
import { addSample, emptyMeter } from '../energy/integrate.ts'
import {
  type Booking,
  book,
  closeRequest,
  emptyLedger,
  type Ledger,
  type Outcome,
  openRequest,
} from '../energy/ledger.ts'
import type { RequestEnergy } from '../energy/request.ts'
import { monotonicMs, type StepEvent } from '../engine/protocol.ts'
import type { Ran } from '../governor/types.ts'
import type { Twin } from '../twin/board.ts'
import { energyBetween } from '../twin/since.ts'
import { createWindows } from './windows.ts'

export interface AccountantOptions {
  readonly board: Board
  readonly cost: ModelCost
  /** The plant whose own energy is booked; null on a real board, where the sensors are integrated. */
  readonly twin: Twin | null
  readonly startMs: number
  /** Longest time between two readings that is no gap, at present; it changes with the load. */
  readonly gapMs: () => number
  readonly gramsPerKwh: number
  /** The clock the engine's work runs at, for the weight of each step. */
  readonly gpuHz: () => number
}

/** A fifth of a conversion of the simulated sensor: of what it heard of so late it shows much less, and then more than there was. */
const sensorLateMs = 10

/** Keeps the books: every joule of the meter goes to an answer or to idle. */
export interface Accountant {
  readonly windows: EnergyWindows
  readonly method: RequestEnergy['method']
  ledger(): Ledger
  /** Bytes that decoding has moved per token it emitted; null before the first. */
  bytesPerToken(): { readonly weights: number; readonly kv: number } | null
  addStep(step: StepEvent): void
  /** Seconds of prefill and decode between two times, by what was told so far. */
  ran(fromMs: number, toMs: number): Ran
  /** When the last run that was told of ends; nothing is known of what comes after. */
  toldUntilMs(): number
  /** Books what has become known: on a simulated board everything up to this time, on a real one up to the new reading. */
  settle(atMs: number, reading?: Reading): void
  openAccount(requestId: string): void
  /** Joules booked so far to an open request. */
  joulesOf(requestId: string): number
  closeAccount(requestId: string, completionTokens: number, outcome: Exclude<Outcome, 'afterBill'>): RequestEnergy
}

export function createAccountant(options: AccountantOptions): Accountant {
  const { board, cost, twin, gramsPerKwh } = options
  let ruled = board
  const method = twin ? 'simulated' : 'measured'
  let ledger = emptyLedger
  let meter = emptyMeter
  let works: readonly (TimedWork & { readonly toldAtMs: number })[] = []
  let settledMs = options.startMs
  let plant = twin?.settle(options.startMs) ?? null

  /** What a sample closes: the time since the sample before, and who was at work in it. */
  const measure = (atMs: number, watts: number | null): { booking: Booking; state: typeof meter } => {
    const { state, interval } = addSample(meter, { atMs, watts }, options.gapMs())
    const staticJoules = board.model.idleWatts * (interval.seconds - interval.unknownSeconds)
    const fromMs = atMs - interval.seconds * 1000
    return { booking: { ...interval, staticJoules, shares: sharesBetween(works, fromMs, atMs) }, state }
  }

  const decoded = { weightBytes: 0, kvBytes: 0, tokens: 0 }

  const settle: Accountant['settle'] = (atMs, reading) => {
    // A bill names the rule its joules were measured by.
    if (reading !== undefined && reading.totalWatts !== null) ruled = withRuleNamed(board, reading.totalRule)
    if (twin && plant) {
      if (atMs <= settledMs) return
      const before = plant
      plant = twin.settle(atMs)
      ledger = book(ledger, energyBetween(before, plant))
      settledMs = atMs
      return
    }
    // One reading is one sample, however often it is shown: tegrastats gives one a second.
    const fresh = reading !== undefined && reading.atMs > settledMs
    // A sensor that keeps silent: the gap is booked while it lasts, not when it ends.
    if (!fresh && atMs - settledMs <= options.gapMs()) return
    const { booking, state } = fresh ? measure(reading.atMs, reading.totalWatts) : measure(atMs, null)
    meter = state
    ledger = book(ledger, booking)
    settledMs = fresh ? reading.atMs : atMs
  }

  /** The books as they will be if power stays what it was: a bill cannot wait for the reading that closes its last interval. */
  const expected = (): Ledger => {
    const atMs = monotonicMs()
    return twin || meter.watts === null || atMs <= settledMs ? ledger : book(ledger, measure(atMs, meter.watts).booking)
  }

  return {
    method,
    windows: createWindows(() => ledger, method),
    ledger: () => ledger,
    bytesPerToken() {
      const { weightBytes, kvBytes, tokens } = decoded
      return tokens > 0 ? { weights: weightBytes / tokens, kv: kvBytes / tokens } : null
    },
    addStep(step) {
      const { phase, startedAtMs, seconds } = step
      const work = runWork(cost, step)
      if (phase === 'decode') {
        const weightBytes = cost.weightBytes[step.level] ?? 0
        decoded.weightBytes += weightBytes
        decoded.kvBytes += work.bytes - weightBytes
        decoded.tokens += step.parts.reduce((sum, { emitted }) => sum + emitted, 0)
      }
      const joules = workWatts(board.model, options.gpuHz(), work) * seconds
      const shares = partShares(cost, step)
      const parts = step.parts.map(({ requestId }, i) => ({ requestId, share: shares[i], weight: joules * shares[i] }))
      works = [...worksAfter(works, settledMs - 1000), { phase, startedAtMs, seconds, parts, toldAtMs: monotonicMs() }]
      twin?.addStep({ startedAtMs, seconds, work, parts })
    },
    ran: (fromMs, toMs) => ({
      ...ranBetween(works, fromMs, toMs),
      late: twin !== null && lateBetween(works, { fromMs, toMs, lateMs: sensorLateMs }),
    }),
    toldUntilMs: () =>
      works.reduce((latest, { startedAtMs, seconds }) => Math.max(latest, startedAtMs + seconds * 1000), 0),
    settle,
    openAccount: (requestId) => {
      ledger = openRequest(ledger, requestId)
    },
    joulesOf: (requestId) => ledger.open[requestId]?.joules ?? 0,
    closeAccount(requestId, completionTokens, outcome) {
      const { account } = closeRequest(expected(), requestId)
      ledger = closeRequest(ledger, requestId, outcome).ledger
      twin?.forget(requestId)
      return billOf(ruled, account, { method, completionTokens, gramsPerKwh })
    },
  }
}
