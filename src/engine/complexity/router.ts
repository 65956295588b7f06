import type { Logistic, RouteLimits, Routing } from '../../models/routing.ts'
import {
  doubtSignals,
  probability,
  type RequestSignals,
  requestRisks,
  requestSignals,
  type TokenSignals,
} from './estimate.ts'
import type { PromptFeatures } from './features.ts'
import { createObserver } from './observe.ts'
import { begin, type Route, type RouteReason, type RouteRules, type RouteState, route } from './route.ts'
import { uncertaintyOf } from './uncertainty.ts'

/** One decision about a level, with everything it was made of. */
export type RouteEntry =
  | {
      readonly at: 0
      readonly signals: RequestSignals
      /** Estimated P(wrong) per level below the full one, and the limit it was held against. */
      readonly risks: readonly number[]
      readonly limit: number
      readonly from: number
      readonly to: number
      readonly reason: RouteReason
    }
  | {
      /** Index of the token within the answer, from 1 on: the first is the full network's. */
      readonly at: number
      readonly signals: TokenSignals
      readonly doubt: number
      readonly limit: number
      /** Level the row was computed at, and the highest that was allowed. */
      readonly level: number
      readonly highest: number
      readonly from: number
      readonly to: number
      readonly redo: boolean
      readonly reason: RouteReason
    }

/** Chooses the level of each token of one answer. */
export interface Router {
  /** Level of the next run; the full one until the prompt has been read. */
  level(): number
  /** Takes note of the row that decides the first token, which chooses where the answer starts. */
  begin(logits: Float32Array): void
  /**
   * Looks at a row computed at `level`: false when the token shall be decided again, at `level()`. `highest` is the highest
   * level that anyone may use at present.
   */
  accepts(logits: Float32Array, level: number, highest?: number): boolean
  /** The token that was taken. */
  add(tokenId: number): void
  /** Every decision so far. */
  readonly log: readonly RouteEntry[]
}

export interface RouterOptions {
  readonly routing: Pick<Routing, 'requests' | 'token' | 'hold'>
  readonly limits: RouteLimits
  /** Share of the weights per level. */
  readonly shares: readonly number[]
  readonly features: PromptFeatures
  readonly promptIds: readonly number[]
}

export function createRouter({ routing, limits, shares, features, promptIds }: RouterOptions): Router {
  const full = shares.length - 1
  const rules: RouteRules = { ...limits, hold: routing.hold, full }
  const log: RouteEntry[] = []
  const observer = createObserver(promptIds)
  let state: RouteState = { level: full, start: full, unease: 0, calm: 0 }
  let taken = 0

  return {
    log,
    level: () => state.level,
    begin(logits) {
      const seen = uncertaintyOf(logits)
      const signals = requestSignals(features, seen)
      const risks = requestRisks(routing, signals)
      const chosen = begin(rules, risks)
      log.push({ at: 0, signals, risks, limit: rules.risk, from: full, to: chosen.state.level, reason: chosen.reason })
      state = chosen.state
      observer.first(seen)
    },
    accepts(logits, level, highest = full) {
      // A row of the full network is doubted as one of the level the answer would go down to.
      const signals = observer.observe(logits, 1 - shares[Math.min(level, state.start)])
      const doubt = probability(routing.token, doubtSignals(signals))
      const next: Route = route(rules, state, { level, doubt, highest })
      const { redo, reason } = next
      const [from, to] = [state.level, next.state.level]
      log.push({ at: taken, signals, doubt, limit: rules.doubt, level, highest, from, to, redo, reason })
      state = next.state
      return !redo
    },
    add(tokenId) {
      taken++
      observer.add(tokenId)
    },
  }
}

/** Leads a log of signals through the same rules again: the levels it gives are the levels that were used. */
export function replay(
  log: readonly RouteEntry[],
  rules: RouteRules,
  token: Logistic,
  requests: readonly Logistic[],
): readonly number[] {
  let state: RouteState = { level: rules.full, start: rules.full, unease: 0, calm: 0 }
  return log.map((entry) => {
    state =
      'risks' in entry
        ? begin(rules, requestRisks({ requests: [...requests] }, entry.signals)).state
        : route(rules, state, {
            level: entry.level,
            doubt: probability(token, doubtSignals(entry.signals)),
            highest: entry.highest,
          }).state
    return state.level
  })
}
