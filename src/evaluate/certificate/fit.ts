import { doubtSignals, requestRisks } from '../../engine/complexity/estimate.ts'
import type { Logistic } from '../../models/routing.ts'
import type { LaneAnswer } from '../answers.ts'
import { normalise } from '../support/score.ts'
import type { Prepared, Recording } from './lanes.ts'
import { fitLogistic, type Observation } from './logistic.ts'
import type { Started } from './policies.ts'

/** What counts as a loss: `answers` where right answers are known, `texts` where they are not. */
export type LossKind = 'answers' | 'texts'

/** Answers of every level to the same prompts: pinned[level][prompt], the last level being the full network. */
export interface Pinned {
  readonly answers: readonly (readonly LaneAnswer[])[]
  readonly recordings: readonly ReadonlyMap<readonly number[], Recording>[]
}

/** The full network is right and this answer is not; or, where nobody knows what is right, their texts differ. */
export function isLoss(kind: LossKind, answer: string | null, full: LaneAnswer, other: LaneAnswer): boolean {
  const [a, b] = [normalise(full.text), normalise(other.text)]
  if (kind === 'texts' || answer === null) return a !== b
  const right = normalise(answer)
  return a === right && b !== right
}

/**
 * Per level below the full one: P(an answer that starts there is lost | signals of the request), over all the limits of doubt that
 * were tried: what counts is the answer that is given in the end, not what the level alone would have said.
 */
export function fitRequests(
  prompts: readonly Prepared[],
  { answers, recordings }: Pinned,
  started: readonly Started[],
): Logistic[] {
  const full = answers.length - 1
  return answers.slice(0, -1).map((_, level) =>
    fitLogistic(
      prompts.flatMap(({ promptIds }, i): Observation[] => {
        const signals = recordings[full].get(promptIds)?.request
        if (!signals) throw new Error('a prompt was not recorded')
        return started
          .filter(({ start }) => start === level)
          .map(({ lost }) => ({ signals: { ...signals }, happened: lost[i] > 0 }))
      }),
    ),
  )
}

/**
 * Tokens of the levels below the full one, up to the first at which an answer leaves the full network's: until there both
 * have said the same, so it is known what the full network would have said.
 */
export function tokenObservations(prompts: readonly Prepared[], { answers, recordings }: Pinned): Observation[] {
  const full = answers.length - 1
  return answers.slice(0, -1).flatMap((ofLevel, level) =>
    prompts.flatMap(({ promptIds }, i) => {
      const mine = ofLevel[i].ids
      const theirs = answers[full][i].ids
      const seen = recordings[level].get(promptIds)?.tokens ?? []
      const left = mine.findIndex((id, at) => id !== theirs[at])
      const known = left < 0 ? mine.length : left + 1
      return seen
        .slice(0, Math.max(0, known - 1))
        .map((signals, at): Observation => ({ signals: doubtSignals(signals), happened: at + 1 === left }))
    }),
  )
}

/** Estimated risks per prompt and level. */
export function risksOf(
  prompts: readonly Prepared[],
  requests: readonly Logistic[],
  recordings: ReadonlyMap<readonly number[], Recording>,
): (readonly number[])[] {
  return prompts.map(({ promptIds }) => {
    const signals = recordings.get(promptIds)?.request
    if (!signals) throw new Error('a prompt was not recorded')
    return requestRisks({ requests: [...requests] }, signals)
  })
}
