import { sharesBetween, type TimedWork } from './busy.ts'
import { type Booking, book, type Ledger } from './ledger.ts'

/** A measured interval that waits until it is known what ran in it: an engine tells of a run when it is computed. */
export interface Held {
  readonly fromMs: number
  readonly toMs: number
  readonly measured: Omit<Booking, 'shares'>
}

/** The books with these intervals, by what was told so far. */
export function bookHeld(ledger: Ledger, held: readonly Held[], works: readonly TimedWork[]): Ledger {
  return held.reduce(
    (books, { fromMs, toMs, measured }) => book(books, { ...measured, shares: sharesBetween(works, fromMs, toMs) }),
    ledger,
  )
}
