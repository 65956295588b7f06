import { explainRoute } from './reasons.ts'
import type { RouteReason } from './route.ts'
import type { RouteEntry } from './router.ts'

/** How the levels of one answer came about: what the engine tells when it is done. */
export interface RouteReport {
  readonly startLevel: number
  /** Estimated risk of that level, and the limit; null when the answer ended before a level was chosen. */
  readonly risk: number | null
  readonly limit: number | null
  /** Rows that were refused: their tokens were decided again by the full network. */
  readonly decidedAgain: number
  readonly moves: readonly RouteMove[]
  /** One sentence on the start. */
  readonly explanation: string
}

/** A change of level, after token `at` of the answer was looked at. */
export interface RouteMove {
  readonly at: number
  readonly from: number
  readonly to: number
  readonly reason: RouteReason
  readonly doubt: number
  readonly explanation: string
}

export function reportOf(log: readonly RouteEntry[]): RouteReport {
  const first = log.find((entry) => 'risks' in entry)
  const moves = log.flatMap((entry): RouteMove[] => {
    if ('risks' in entry || entry.from === entry.to) return []
    const { at, from, to, reason, doubt } = entry
    return [{ at, from, to, reason, doubt, explanation: explainRoute(entry) }]
  })
  return {
    startLevel: first?.to ?? log[0]?.from ?? 0,
    risk: first?.risks[Math.min(first.to, first.risks.length - 1)] ?? null,
    limit: first?.limit ?? null,
    decidedAgain: log.filter((entry) => 'redo' in entry && entry.redo).length,
    moves,
    explanation: first ? explainRoute(first) : 'the answer ended before a level was chosen',
  }
}
