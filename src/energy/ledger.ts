/**
 * Who used the energy. Static joules (what an idle board draws) go to the requests by the time they were active, equally
 * to each; dynamic joules by weight: bytes moved, or modelled joules. The rest is idle. Requests + idle = meter, always.
 */
export interface Ledger {
  readonly open: Readonly<Record<string, Account>>
  /** Booked to requests that were closed since, by how they ended. */
  readonly closed: Readonly<Record<Outcome, number>>
  readonly idleJoules: number
  readonly meterJoules: number
  readonly unknownSeconds: number
}

/** `afterBill` is work that was measured or done after its request was billed: its last instants. */
export type Outcome = 'finished' | 'cancelled' | 'failed' | 'afterBill'

export interface Account {
  readonly joules: number
  readonly staticJoules: number
  readonly dynamicJoules: number
  /** Seconds in which the request was active, and seconds of those whose energy is unknown. */
  readonly seconds: number
  readonly unknownSeconds: number
  /** Intervals booked: how many samples the figure rests on. */
  readonly intervals: number
  /** J²: what the load may have done between samples, as this request's part of it. */
  readonly samplingVariance: number
}

export interface Share {
  readonly requestId: string
  readonly seconds: number
  readonly weight: number
}

export interface Booking {
  readonly seconds: number
  readonly joules: number
  /** Part of the joules that the board would have drawn idle. */
  readonly staticJoules: number
  readonly unknownSeconds: number
  /** J² of the interval's energy from not knowing when between its samples the load changed. */
  readonly samplingVariance?: number
  readonly shares: readonly Share[]
}

export const emptyLedger: Ledger = {
  open: {},
  closed: { finished: 0, cancelled: 0, failed: 0, afterBill: 0 },
  idleJoules: 0,
  meterJoules: 0,
  unknownSeconds: 0,
}

const emptyAccount: Account = {
  joules: 0,
  staticJoules: 0,
  dynamicJoules: 0,
  seconds: 0,
  unknownSeconds: 0,
  intervals: 0,
  samplingVariance: 0,
}

/** Opens an account for a request; its work is booked from here on, whatever becomes of it. */
export function openRequest(ledger: Ledger, requestId: string): Ledger {
  return requestId in ledger.open ? ledger : { ...ledger, open: { ...ledger.open, [requestId]: emptyAccount } }
}

/** Books one interval of the meter. */
export function book(ledger: Ledger, booking: Booking): Ledger {
  const { shares, joules } = booking
  const staticJoules = Math.min(booking.staticJoules, joules)
  const dynamicJoules = joules - staticJoules
  const activeSeconds = sum(shares.map((share) => share.seconds))
  const perSecond = staticJoules / Math.max(booking.seconds, activeSeconds, 1e-12)
  const weights = sum(shares.map((share) => share.weight))
  const open = { ...ledger.open }
  let afterBill = ledger.closed.afterBill
  let booked = 0
  for (const share of shares) {
    const own = {
      static: perSecond * share.seconds,
      dynamic: weights > 0 ? (dynamicJoules * share.weight) / weights : 0,
    }
    booked += own.static + own.dynamic
    const account = open[share.requestId]
    if (account === undefined) {
      // Work that was reported after its answer was billed: still a request's, never idle.
      afterBill += own.static + own.dynamic
      continue
    }
    open[share.requestId] = {
      joules: account.joules + own.static + own.dynamic,
      staticJoules: account.staticJoules + own.static,
      dynamicJoules: account.dynamicJoules + own.dynamic,
      seconds: account.seconds + share.seconds,
      unknownSeconds: account.unknownSeconds + Math.min(share.seconds, booking.unknownSeconds),
      intervals: account.intervals + 1,
      samplingVariance:
        account.samplingVariance +
        (booking.samplingVariance ?? 0) * (joules > 0 ? (own.static + own.dynamic) / joules : 0) ** 2,
    }
  }
  return {
    open,
    closed: { ...ledger.closed, afterBill },
    idleJoules: ledger.idleJoules + (joules - booked),
    meterJoules: ledger.meterJoules + joules,
    unknownSeconds: ledger.unknownSeconds + booking.unknownSeconds,
  }
}

/** Closes an account and returns its totals: the bill of a finished, cancelled or failed answer. */
export function closeRequest(
  ledger: Ledger,
  requestId: string,
  outcome: Outcome = 'finished',
): { readonly ledger: Ledger; readonly account: Account | undefined } {
  const { [requestId]: account, ...open } = ledger.open
  if (account === undefined) return { ledger, account }
  const closed = { ...ledger.closed, [outcome]: ledger.closed[outcome] + account.joules }
  return { ledger: { ...ledger, open, closed }, account }
}

/** Joules booked to requests, closed and open. */
export function requestJoules(ledger: Ledger): number {
  return sum(Object.values(ledger.closed)) + sum(Object.values(ledger.open).map((account) => account.joules))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
