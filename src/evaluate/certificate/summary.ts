import type { LaneAnswer } from '../answers.ts'
import { bca } from '../statistics/bootstrap.ts'
import type { Estimate } from '../statistics/moments.ts'
import { normalise } from '../support/score.ts'
import { type Certified, type CertifyInputs, doubtsOf } from './certify.ts'
import { isLoss, risksOf } from './fit.ts'
import { type Prepared, runsRead } from './lanes.ts'
import { upperBound } from './learn-then-test.ts'
import { auroc } from './logistic.ts'

/** What routing is worth, on the calibration half. Shares are 0 to 1 unless the name says points. */
export interface Figures {
  /** The point the figures are of: the certified one, or where that is the full network the greediest. */
  readonly point: number
  readonly differing: { readonly count: number; readonly bound: number }
  readonly auroc: { readonly levels: readonly number[]; readonly token: number }
  readonly levels: readonly { readonly share: number; readonly loss: number; readonly right: number }[]
  readonly routed: {
    readonly cost: number
    readonly loss: number
    readonly right: number
    readonly decidedAgain: number
  }
  readonly strata: Readonly<
    Record<string, { readonly meanLevel: number; readonly cost: number; readonly loss: number }>
  >
  /** Right answers, in points, that routing by complexity is ahead of levels drawn at random that read as many weight bytes. */
  readonly overRandomPoints: Estimate | null
  readonly lines: readonly string[]
}

/** Confidence of the bound that the drift monitor is held against. */
const differingConfidence = 0.99

export function summarise(inputs: CertifyInputs, certified: Certified, seed: number): Figures {
  const { shares, calibration: prompts, loss } = inputs
  const { measured, requests, token, grid, chosen } = certified
  const full = shares.length - 1
  const point = chosen > 0 ? chosen : grid.length - 1
  const answers = measured.answers[point]
  const count = texts(measured.answers[chosen]).filter((text, i) => text !== normalise(measured.full[i].text)).length
  const risks = risksOf(prompts, requests, measured.pinned.recordings[full])
  const doubts = doubtsOf(prompts, measured.pinned, token)
  const right = (of: readonly LaneAnswer[]): number[] =>
    of.map(({ text }, i) => (normalise(text) === normalise(prompts[i].answer ?? measured.full[i].text) ? 1 : 0))
  const levels = measured.pinned.answers.map((of, level) => ({
    share: shares[level],
    loss: mean(lossesOf(loss, prompts, measured.full, of)),
    right: mean(right(of)),
    cost: costOf(of, measured.full, shares),
  }))
  const routedRight = right(answers)
  const cost = grid[point].cost
  const random = randomMixture(levels, cost)
  const rights = measured.pinned.answers.map(right)
  const ahead =
    random &&
    routedRight.map(
      (own, i) => 100 * (own - random.part * rights[random.low][i] - (1 - random.part) * rights[random.high][i]),
    )
  const overRandomPoints = ahead
    ? bca({ columns: [Float64Array.from(ahead)], resamples: 2000, seed }, ([m]) => m)
    : null
  const strata = strataOf(prompts, answers, measured.full, shares, Array.from(measured.lost[point]))
  const decided = answers.reduce((sum, { levels: of }) => sum + of.length - 1, 0)
  const figures = {
    point,
    differing: { count, bound: upperBound(count, prompts.length, differingConfidence) },
    auroc: {
      levels: measured.pinned.answers.slice(0, -1).map((of, level) =>
        auroc(
          risks.map((ofPrompt) => ofPrompt[level]),
          lossesOf(loss, prompts, measured.full, of).map((lost) => lost > 0),
        ),
      ),
      token: auroc(doubts.estimates, doubts.happened),
    },
    levels: levels.map(({ share, loss: lost, right: hits }) => ({ share, loss: lost, right: hits })),
    routed: {
      cost,
      loss: grid[point].losses / prompts.length,
      right: mean(routedRight),
      decidedAgain: answers.reduce((sum, { refused }) => sum + refused.length, 0) / Math.max(1, decided),
    },
    strata,
    overRandomPoints,
  }
  return { ...figures, lines: linesOf(figures) }
}

function lossesOf(
  kind: CertifyInputs['loss'],
  prompts: readonly Prepared[],
  full: readonly LaneAnswer[],
  of: readonly LaneAnswer[],
): number[] {
  return of.map((answer, i) => (isLoss(kind, prompts[i].answer, full[i], answer) ? 1 : 0))
}

const costOf = (of: readonly LaneAnswer[], full: readonly LaneAnswer[], shares: readonly number[]): number =>
  sum(of.map((answer) => runsRead(answer, shares))) / sum(full.map((answer) => runsRead(answer, shares)))

/**
 * Two levels drawn at random for each request so that on average as much is read: the pair that answers best, chosen with
 * these very prompts, which is more than a random router could know.
 */
function randomMixture(levels: readonly { readonly right: number; readonly cost: number }[], cost: number) {
  const pairs = levels.flatMap((low, i) =>
    levels.flatMap((high, j) => {
      if (low.cost > cost || high.cost < cost) return []
      const part = high.cost > low.cost ? (high.cost - cost) / (high.cost - low.cost) : 1
      return [{ low: i, high: j, part, right: part * low.right + (1 - part) * high.right }]
    }),
  )
  return pairs.length > 0 ? pairs.reduce((a, b) => (b.right > a.right ? b : a)) : null
}

function strataOf(
  prompts: readonly Prepared[],
  answers: readonly LaneAnswer[],
  full: readonly LaneAnswer[],
  shares: readonly number[],
  lost: readonly number[],
): Figures['strata'] {
  const names = [...new Set(prompts.flatMap(({ stratum }) => stratum ?? []))]
  return Object.fromEntries(
    names.map((name) => {
      const of = <T>(values: readonly T[]): T[] => values.filter((_, i) => prompts[i].stratum === name)
      const levels = of(answers).flatMap((answer) => answer.levels.slice(1))
      return [name, { meanLevel: mean(levels), cost: costOf(of(answers), of(full), shares), loss: mean(of(lost)) }]
    }),
  )
}

function linesOf({
  auroc: areas,
  levels,
  routed,
  strata,
  overRandomPoints,
  differing,
}: Omit<Figures, 'lines'>): string[] {
  const percent = (part: number): string => `${(100 * part).toFixed(1)} %`
  return [
    `levels alone: ${levels.map(({ share, loss }, i) => `${i} (${percent(share)} of the weights) loses ${percent(loss)}`).join(', ')}`,
    `estimate of a request: AUROC ${areas.levels.map((area) => area.toFixed(3)).join(', ')} for the levels from 0 on; of a token: ${areas.token.toFixed(3)}`,
    `routed: ${percent(routed.cost)} of the weight bytes, loses ${percent(routed.loss)}, right ${percent(routed.right)}, ${percent(routed.decidedAgain)} of the tokens decided again; ${differing.count} texts differ`,
    ...Object.entries(strata).map(
      ([name, one]) =>
        `${name}: mean level ${one.meanLevel.toFixed(2)}, ${percent(one.cost)} of the weight bytes, loses ${percent(one.loss)}`,
    ),
    overRandomPoints
      ? `routing by complexity is ${overRandomPoints.value.toFixed(2)} points (95 %: ${overRandomPoints.low.toFixed(2)} to ${overRandomPoints.high.toFixed(2)}) ahead of levels drawn at random that read as much`
      : 'no two levels read as much as this on average, so there is no random routing to compare with',
  ]
}

const texts = (answers: readonly LaneAnswer[]): string[] => answers.map(({ text }) => normalise(text))
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const mean = (values: readonly number[]): number => (values.length > 0 ? sum(values) / values.length : Number.NaN)
