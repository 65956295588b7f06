import type { RequestSignals, TokenSignals } from '../../engine/complexity/estimate.ts'
import { doubtSignals, probability, requestSignals } from '../../engine/complexity/estimate.ts'
import type { PromptFeatures } from '../../engine/complexity/features.ts'
import { createObserver } from '../../engine/complexity/observe.ts'
import { type RouteState, route } from '../../engine/complexity/route.ts'
import { createRouter } from '../../engine/complexity/router.ts'
import { uncertaintyOf } from '../../engine/complexity/uncertainty.ts'
import type { RouteLimits, Routing } from '../../models/routing.ts'
import type { Lane, LaneAnswer } from '../answers.ts'

/** One prompt, ready to be answered. Answers are found by the array `promptIds` itself. */
export interface Prepared {
  readonly promptIds: readonly number[]
  readonly features: PromptFeatures
  readonly answer: string | null
  readonly stratum: string | null
}

export type Estimates = Pick<Routing, 'requests' | 'token'>

/** What was seen while a prompt was answered at one level. */
export interface Recording {
  request: RequestSignals | null
  /** tokens[i] belongs to token i + 1 of the answer; the first token is the prompt's. */
  readonly tokens: TokenSignals[]
}

/** Answers at one level and keeps the signals of every token. */
export function recordingLane(level: number, shares: readonly number[], prompts: readonly Prepared[]) {
  const recordings = new Map<readonly number[], Recording>()
  const features = featuresByIds(prompts)
  const lane: Lane = {
    start(promptIds) {
      const recording: Recording = { request: null, tokens: [] }
      recordings.set(promptIds, recording)
      const observer = createObserver(promptIds)
      return {
        level: () => level,
        begin(logits) {
          const seen = uncertaintyOf(logits)
          observer.first(seen)
          recording.request = requestSignals(features(promptIds), seen)
        },
        accepts(logits) {
          recording.tokens.push(observer.observe(logits, 1 - shares[level]))
          return true
        },
        add: observer.add,
      }
    },
  }
  return { lane, recordings }
}

/** Answers as the daemon routes: with the package's estimates, within these limits. */
export function routedLane(
  routing: Estimates & Pick<Routing, 'hold'>,
  limits: RouteLimits,
  shares: readonly number[],
  prompts: readonly Prepared[],
): Lane {
  const features = featuresByIds(prompts)
  return {
    start: (promptIds) => createRouter({ routing, limits, shares, features: features(promptIds), promptIds }),
  }
}

/** The same, but every answer starts at `start`, whatever is estimated of it. */
export function startedLane(
  routing: Pick<Routing, 'token' | 'hold'>,
  { start, doubt }: { readonly start: number; readonly doubt: number },
  shares: readonly number[],
  prompts: readonly Prepared[],
): Lane {
  const certain = 50
  const requests = shares.slice(0, -1).map((_, level) => ({ bias: level < start ? certain : -certain, weights: {} }))
  return routedLane({ ...routing, requests }, { risk: 0.5, doubt }, shares, prompts)
}

/**
 * Whether an answer that was recorded at the level it starts at never leaves it within these limits. Then routed it would be the
 * very same, and need not be run again.
 */
export function neverLeaves(
  { tokens }: Recording,
  start: number,
  { token, hold }: Pick<Routing, 'token' | 'hold'>,
  limits: RouteLimits,
  full: number,
): boolean {
  let state: RouteState = { level: start, start, unease: 0, calm: 0 }
  return tokens.every((signals) => {
    const doubt = probability(token, doubtSignals(signals))
    const next = route({ ...limits, hold, full }, state, { level: start, doubt, highest: full })
    state = next.state
    return !next.redo && state.level === start
  })
}

/** Weight bytes that decoding an answer read, in units of the full network's: one for each run at the full level. */
export const runsRead = ({ levels, refused }: LaneAnswer, shares: readonly number[]): number =>
  levels.slice(1).reduce((sum, level) => sum + shares[level], 0) +
  refused.reduce((sum, { level }) => sum + shares[level], 0)

function featuresByIds(prompts: readonly Prepared[]): (promptIds: readonly number[]) => PromptFeatures {
  const known = new Map(prompts.map(({ promptIds, features }) => [promptIds, features]))
  return (promptIds) => {
    const features = known.get(promptIds)
    if (!features) throw new Error('this prompt was not prepared')
    return features
  }
}
