import { probability } from '../../engine/complexity/estimate.ts'
import type { GridPoint, Logistic, RouteLimits } from '../../models/routing.ts'
import type { Answerer, Lane, LaneAnswer } from '../answers.ts'
import { quantile } from '../statistics/quantiles.ts'
import { fitRequests, fitToken, isLoss, type LossKind, type Pinned, risksOf, tokenObservations } from './fit.ts'
import { type Prepared, recordingLane, routedLane, runsRead, startedLane } from './lanes.ts'
import { fixedSequence } from './learn-then-test.ts'
import { evaluate, frontier, fullOnly, type Policy, type Started } from './policies.ts'

/** Runs lanes over prompts; the caller shows progress. */
export type Runner = (what: string, prompts: readonly Prepared[], lanes: readonly Lane[]) => (readonly LaneAnswer[])[]

export interface CertifyInputs {
  readonly run: Runner
  readonly shares: readonly number[]
  readonly fit: readonly Prepared[]
  readonly calibration: readonly Prepared[]
  readonly loss: LossKind
  /** As a share, 0 to 1. */
  readonly margin: number
  readonly confidence: number
}

/** Everything measured on the calibration half; [point][prompt] where it is a matrix. */
export interface Measured {
  readonly answers: readonly (readonly LaneAnswer[])[]
  readonly lost: readonly Uint8Array[]
  readonly full: readonly LaneAnswer[]
  readonly pinned: Pinned
}

export interface Certified {
  readonly requests: Logistic[]
  readonly token: Logistic
  readonly hold: number
  readonly grid: readonly GridPoint[]
  /** Index of the chosen point; 0 is the full network. */
  readonly chosen: number
  /** The greediest point of the frontier, for `eco`. */
  readonly eco: RouteLimits
  readonly measured: Measured
  /** What the fitting half says of every pair of limits. */
  readonly fitted: {
    readonly policies: readonly Policy[]
    readonly pinned: Pinned
    readonly risks: readonly (readonly number[])[]
  }
}

/** Prompts of the fitting half that every start and limit of doubt is tried on: this is the longest part. */
const tried = 1500
/** Parts of the tokens of smaller levels that a limit of doubt sends back, and calm tokens before going down again. */
const flagged = [0.3, 0.15, 0.08, 0.04, 0.015, 0.005]
const holds = [1, 4]
/** Quantiles of the estimated risks that are tried as limits of risk. */
const riskQuantiles = Array.from({ length: 13 }, (_, k) => (k + 1) / 14)
/** Points of the tested sequence besides the full network, and how far beyond the margin it goes. */
const points = 14
const beyond = 3

/**
 * Fits the estimates on one half of the data, lays a sequence of limits from the safest to the greediest through what that
 * half says, and tests it on the other half, where every point is answered by the very router that the daemon uses.
 */
export function certify(inputs: CertifyInputs): Certified {
  const { shares, fit, calibration, loss, margin, confidence } = inputs
  const { run } = inputs
  const full = shares.length - 1
  const fitPinned = runPinned(run, 'the fitting half at every level', fit, shares)
  const requests = fitRequests(fit, fitPinned, loss)
  const observations = tokenObservations(fit, fitPinned)
  const token = fitToken(observations)
  const risks = risksOf(fit, requests, fitPinned.recordings[full])
  const doubts = observations.map(({ signals }) => probability(token, signals))
  const doubtLimits = observations.length > 0 ? [...flagged.map((part) => quantile(doubts, 1 - part)), 1] : [1]
  const riskLimits = [...new Set([...riskQuantiles.map((q) => quantile(risks.flat(), q)), 1])]

  const some = fit.slice(0, tried)
  const fitFull = fitPinned.answers[full].slice(0, tried)
  const dense = Float64Array.from(fitFull, (answer) => runsRead(answer, shares))
  const lostOf = (prompts: readonly Prepared[], of: readonly LaneAnswer[], than: readonly LaneAnswer[]): Uint8Array =>
    Uint8Array.from(prompts, ({ answer }, i) => (isLoss(loss, answer, than[i], of[i]) ? 1 : 0))
  const tries = holds.map((hold) => {
    const ways = doubtLimits.flatMap((doubt) => shares.slice(0, -1).map((_, start) => ({ start, doubt })))
    const lanes = ways.map((way) => startedLane({ token, hold }, way, shares, some))
    const started = run(`starts and limits of doubt, hold ${hold}`, some, lanes).map(
      (answers, i): Started => ({
        ...ways[i],
        lost: lostOf(some, answers, fitFull),
        read: Float64Array.from(answers, (answer) => runsRead(answer, shares)),
      }),
    )
    const policies = evaluate(started, risks.slice(0, tried), dense, riskLimits)
    // The hold that reads least where the fitting half loses half of the margin.
    const fitting = policies.filter(({ losses }) => losses <= (margin / 2) * some.length)
    return { hold, policies, best: Math.min(1, ...fitting.map(({ cost }) => cost)) }
  })
  const { hold, policies } = tries.reduce((a, b) => (b.best < a.best ? b : a))
  const front = frontier(policies, beyond * margin * some.length, points)
  const limits: RouteLimits[] = [
    fullOnly,
    ...front.filter(({ cost }) => cost < 1).map(({ risk, doubt }) => ({ risk, doubt })),
  ]

  const pinned = runPinned(run, 'the calibration half at every level', calibration, shares)
  const fullAnswers = pinned.answers[full]
  const lanes = limits.slice(1).map((each) => routedLane({ requests, token, hold }, each, shares, calibration))
  const answers = [fullAnswers, ...run('the calibration half, routed', calibration, lanes)]
  const lost = answers.map((each) => lostOf(calibration, each, fullAnswers))
  const losses = lost.map((each) => each.reduce((a, b) => a + b, 0))
  const { pValues, chosen } = fixedSequence(losses, calibration.length, margin, confidence)
  const denseRead = sum(fullAnswers.map((answer) => runsRead(answer, shares)))
  const grid = limits.map((each, k): GridPoint => {
    const cost = sum(answers[k].map((answer) => runsRead(answer, shares))) / denseRead
    return { ...each, losses: losses[k], p_value: pValues[k], cost }
  })
  const measured = { answers, lost, full: fullAnswers, pinned }
  const eco = limits[limits.length - 1]
  return {
    requests,
    token,
    hold,
    grid,
    chosen: chosen ?? 0,
    eco,
    measured,
    fitted: { policies, pinned: fitPinned, risks },
  }
}

function runPinned(run: Runner, what: string, prompts: readonly Prepared[], shares: readonly number[]): Pinned {
  const recorders = shares.map((_, level) => recordingLane(level, shares, prompts))
  const answers = run(
    what,
    prompts,
    recorders.map(({ lane }) => lane),
  )
  return { answers, recordings: recorders.map(({ recordings }) => recordings) }
}

/** Estimated doubt of every observed token, with what happened: how well the estimate tells them apart is its AUROC. */
export function doubtsOf(prompts: readonly Prepared[], pinned: Pinned, token: Logistic) {
  const observations = tokenObservations(prompts, pinned)
  return {
    estimates: observations.map(({ signals }) => probability(token, signals)),
    happened: observations.map(({ happened }) => happened),
  }
}

/** Runs lanes in pieces of the answerer's batches, so that somebody can be told how far it is. */
export function runnerOf(answerer: Answerer, onProgress: (done: number, total: number, what: string) => void): Runner {
  return (what, prompts, lanes) => {
    const all: LaneAnswer[][] = lanes.map(() => [])
    const piece = 8 * answerer.batch
    for (let from = 0; from < prompts.length; from += piece) {
      const ids = prompts.slice(from, from + piece).map(({ promptIds }) => promptIds)
      const { answers } = answerer.answer(ids, lanes)
      for (const [lane, some] of answers.entries()) all[lane].push(...some)
      onProgress(Math.min(prompts.length, from + piece), prompts.length, what)
    }
    return all
  }
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
