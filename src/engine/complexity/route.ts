import type { RouteLimits } from '../../models/routing.ts'

/** What one answer is routed by; all numbers, so that a log of signals leads to the same levels again. */
export interface RouteRules extends RouteLimits {
  /** Calm tokens after which an answer goes down again. */
  readonly hold: number
  /** The full network's level. */
  readonly full: number
}

/** Why a level was chosen: one row each in reasons.ts. */
export type RouteReason = 'easy' | 'hard' | 'steady' | 'doubt' | 'uneasy' | 'waiting' | 'calm'

export interface RouteState {
  /** Level of the next run. */
  readonly level: number
  /** Level the answer started at: it never goes below. */
  readonly start: number
  /** Rolling mean of the doubt (C4). */
  readonly unease: number
  /** Tokens since the last doubt or unease. */
  readonly calm: number
}

export interface Route {
  readonly state: RouteState
  /** True when the row shall decide nothing: the same token is run again at `state.level`. */
  readonly redo: boolean
  readonly reason: RouteReason
}

/** Weight of what was before in the rolling mean: half of it is from the last three tokens. */
const memory = 0.8
/** Parts of the doubt limit: above the first the level rises by one, and only below the second does it fall again. */
const uneasy = 0.5
const atEase = 0.25

/** The level an answer starts at: the smallest whose estimated risk is within the limit. `risks[j]` is that of level j. */
export function begin(rules: RouteRules, risks: readonly number[]): Route {
  // A limit of nothing means never, however small an estimate gets.
  const within = rules.risk > 0 ? risks.findIndex((risk) => risk <= rules.risk) : -1
  const level = within < 0 ? rules.full : Math.min(within, rules.full)
  const reason = level < rules.full ? 'easy' : 'hard'
  return { state: { level, start: level, unease: 0, calm: 0 }, redo: false, reason }
}

/**
 * What a row of logits that was computed at `level` means for its token and for the next level. Up at once: a doubtful token
 * is not taken but decided again by the full network. Down slowly: only after `hold` calm tokens. `highest` is the highest
 * level anyone may use at present; nothing is run again that could not run higher.
 */
export function route(
  rules: RouteRules,
  state: RouteState,
  seen: { level: number; doubt: number; highest: number },
): Route {
  const { level, doubt, highest } = seen
  const top = Math.min(rules.full, highest)
  const unease = memory * state.unease + (1 - memory) * doubt
  if (state.start >= rules.full) return { state: { ...state, unease }, redo: false, reason: 'hard' }
  if (doubt >= rules.doubt) {
    const redo = level < top
    // A token that was refused is not part of the mean: its second reading will be.
    return {
      state: { ...state, level: rules.full, unease: redo ? state.unease : unease, calm: 0 },
      redo,
      reason: 'doubt',
    }
  }
  if (unease >= uneasy * rules.doubt && state.level < rules.full) {
    return { state: { ...state, level: state.level + 1, unease, calm: 0 }, redo: false, reason: 'uneasy' }
  }
  if (state.level === state.start) return { state: { ...state, unease, calm: 0 }, redo: false, reason: 'steady' }
  const calm = state.calm + 1
  if (calm < rules.hold || unease > atEase * rules.doubt) {
    return { state: { ...state, unease, calm }, redo: false, reason: 'waiting' }
  }
  return { state: { ...state, level: state.start, unease, calm: 0 }, redo: false, reason: 'calm' }
}
