import type { EnergyWindows } from '../api/ports.ts'
import { type PowerReading, withRuleNamed } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { type ModelCost, partShares, runWork, workWatts } from '../board/work.ts'
import { billOf } from '../energy/bill.ts'
import { lateBetween, ranBetween, type TimedWork, worksAfter } from '../energy/busy.ts'
import { bookHeld, type Held } from '../energy/held.ts'
import { addSample, emptyMeter } from '../energy/integrate.ts'
import { book, closeRequest, emptyLedger, type Ledger, type Outcome, openRequest } from '../energy/ledger.ts'
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
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

/** A fifth of a conversion of the simulated sensor: of what it heard of so late it shows much less, and then more than there was. */
const sensorLateMs = 10

/**
 * How long what was measured waits for word of what ran meanwhile. A run of a large model on few cores takes seconds; while
 * nobody waits for an answer, only the last run of one that was cancelled can still be told of.
 */
const waitMs = { answering: 30_000, resting: 1000 }

/** Keeps the books: every joule of the meter goes to an answer or to idle. */
export interface Accountant {
  readonly windows: EnergyWindows
  readonly method: RequestEnergy['method']
  /** What is known: no figure in it falls. On a real board it ends where the last run that was told of does. */
  ledger(): Ledger
  /** All that was measured: the totals are the meter's, who used the last of it may change. */
  provisional(): Ledger
  /** Bytes that decoding has moved per token it emitted; null before the first. */
  bytesPerToken(): { readonly weights: number; readonly kv: number } | null
  addStep(step: StepEvent): void
  /** Seconds of prefill and decode between two times, by what was told so far. */
  ran(fromMs: number, toMs: number): Ran
  /** When the last run that was told of ends; nothing is known of what comes after. */
  toldUntilMs(): number
  /** Measures up to the new reading (on a simulated board up to this time), and books what has become known. */
  settle(atMs: number, reading?: Pick<PowerReading, 'atMs' | 'totalWatts' | 'totalRule'>): void
  openAccount(requestId: string): void
  /** Joules booked so far to an open request. */
  joulesOf(requestId: string): number
  closeAccount(requestId: string, completionTokens: number, outcome: Exclude<Outcome, 'afterBill'>): RequestEnergy
}

export function createAccountant(options: AccountantOptions): Accountant {
  const { board, cost, twin, gramsPerKwh, now = monotonicMs } = options
  let ruled = board
  const method = twin ? 'simulated' : 'measured'
  let ledger = emptyLedger
  let meter = emptyMeter
  let works: readonly (TimedWork & { readonly toldAtMs: number })[] = []
  let held: readonly Held[] = []
  let settledMs = options.startMs
  let plant = twin?.settle(options.startMs) ?? null

  /** What a sample closes: the time since the sample before. */
  const measure = (atMs: number, watts: number | null): { interval: Held; state: typeof meter } => {
    const { state, interval } = addSample(meter, { atMs, watts }, options.gapMs())
    const staticJoules = board.model.idleWatts * (interval.seconds - interval.unknownSeconds)
    const measured = { ...interval, staticJoules }
    return { interval: { fromMs: atMs - interval.seconds * 1000, toMs: atMs, measured }, state }
  }

  const toldUntilMs = (): number =>
    works.reduce((latest, { startedAtMs, seconds }) => Math.max(latest, startedAtMs + seconds * 1000), 0)

  /** Books the intervals of which all that ran was told (the engine does one run at a time), or that have waited long enough. */
  const release = (atMs: number): void => {
    const answering = Object.keys(ledger.open).length > 0
    const knownMs = Math.max(toldUntilMs(), atMs - (answering ? waitMs.answering : waitMs.resting))
    const due = held.filter(({ toMs }) => toMs <= knownMs)
    if (due.length === 0) return
    ledger = bookHeld(ledger, due, works)
    held = held.slice(due.length)
  }

  const provisional = (): Ledger => bookHeld(ledger, held, works)

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
    if (fresh || atMs - settledMs > options.gapMs()) {
      const { interval, state } = fresh ? measure(reading.atMs, reading.totalWatts) : measure(atMs, null)
      meter = state
      held = [...held, interval]
      settledMs = interval.toMs
    }
    release(atMs)
  }

  /** The books as they will be if power stays what it was: a bill cannot wait for the reading that closes its last interval. */
  const expected = (): Ledger => {
    const atMs = now()
    const books = provisional()
    if (twin || meter.watts === null || atMs <= settledMs) return books
    return bookHeld(books, [measure(atMs, meter.watts).interval], works)
  }

  return {
    method,
    windows: createWindows(provisional, method),
    ledger: () => ledger,
    provisional,
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
      const toldAtMs = now()
      const wantedMs = (held[0]?.fromMs ?? settledMs) - 1000
      works = [...worksAfter(works, wantedMs), { phase, startedAtMs, seconds, parts, toldAtMs }]
      release(toldAtMs)
      twin?.addStep({ startedAtMs, seconds, work, parts })
    },
    ran: (fromMs, toMs) => ({
      ...ranBetween(works, fromMs, toMs),
      late: twin !== null && lateBetween(works, { fromMs, toMs, lateMs: sensorLateMs }),
    }),
    toldUntilMs,
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
