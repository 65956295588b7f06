import { probability } from '../../engine/complexity/estimate.ts'
import { begin } from '../../engine/complexity/route.ts'
import type { GridPoint, Logistic, RouteLimits } from '../../models/routing.ts'
import type { Answerer, Lane, LaneAnswer } from '../answers.ts'
import { quantile } from '../statistics/quantiles.ts'
import { fitRequests, isLoss, type LossKind, type Pinned, risksOf, tokenObservations } from './fit.ts'
import { neverLeaves, type Prepared, recordingLane, routedLane, runsRead, startedLane } from './lanes.ts'
import { fixedSequence } from './learn-then-test.ts'
import { fitLogistic } from './logistic.ts'
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
  readonly policies: readonly Policy[]
}

/** Parts of the tokens of smaller levels that a limit of doubt sends back. */
const flagged = [0.12, 0.06, 0.03, 0.015, 0.006]
/** Calm tokens before an answer goes down again: a refused token leaves the cache as the full network writes it. */
const hold = 1
/** Quantiles of the estimated risks that are tried as limits of risk. */
const riskQuantiles = Array.from({ length: 39 }, (_, k) => (k + 1) / 40)
/** Points of the tested sequence besides the full network, and how far beyond the margin it goes. */
const points = 18
const beyond = 3

/**
 * Fits the estimates on one half of the data, lays a sequence of limits from the safest to the greediest through what that
 * half says, and tests it on the other half, where every point is answered by the very router that the daemon uses.
 */
export function certify(inputs: CertifyInputs): Certified {
  const { run, shares, fit, calibration, loss, margin, confidence } = inputs
  const full = shares.length - 1
  const fitPinned = runPinned(run, 'prompts of the fitting half, at every level', fit, shares)
  const observations = tokenObservations(fit, fitPinned)
  const token = fitLogistic(observations)
  const doubts = observations.map(({ signals }) => probability(token, signals))
  const doubtLimits = observations.length > 0 ? [...flagged.map((part) => quantile(doubts, 1 - part)), 1] : [1]

  const fitFull = fitPinned.answers[full]
  const lostOf = (prompts: readonly Prepared[], of: readonly LaneAnswer[], than: readonly LaneAnswer[]): Uint8Array =>
    Uint8Array.from(prompts, ({ answer }, i) => (isLoss(loss, answer, than[i], of[i]) ? 1 : 0))
  const ways = doubtLimits.flatMap((doubt) => shares.slice(0, -1).map((_, start) => ({ start, doubt })))
  const started = runRouted(
    run,
    'prompts of the fitting half, from every level',
    fit,
    fitPinned,
    ways.map(({ start, doubt }) => ({
      lane: startedLane({ token, hold }, { start, doubt }, shares, fit),
      same: ({ promptIds }) => {
        const recording = fitPinned.recordings[start].get(promptIds)
        return recording && neverLeaves(recording, start, { token, hold }, { risk: 1, doubt }, full) ? start : null
      },
    })),
  ).map(
    (answers, i): Started => ({
      ...ways[i],
      lost: lostOf(fit, answers, fitFull),
      read: Float64Array.from(answers, (answer) => runsRead(answer, shares)),
    }),
  )
  const requests = fitRequests(fit, fitPinned, started)
  const risks = risksOf(fit, requests, fitPinned.recordings[full])
  const riskLimits = [...new Set([...riskQuantiles.map((q) => quantile(risks.flat(), q)), 1])]
  const dense = Float64Array.from(fitFull, (answer) => runsRead(answer, shares))
  const policies = evaluate(started, risks, dense, riskLimits)
  const front = frontier(policies, beyond * margin * fit.length, points)
  const sequence = front.filter(({ cost }) => cost < 1).map(({ risk, doubt }) => ({ risk, doubt }))
  const limits: RouteLimits[] = [fullOnly, ...sequence]

  const pinned = runPinned(run, 'prompts of the calibration half, at every level', calibration, shares)
  const fullAnswers = pinned.answers[full]
  const startOf = risksOf(calibration, requests, pinned.recordings[full])
  const index = new Map(calibration.map(({ promptIds }, i) => [promptIds, i]))
  const routed = runRouted(
    run,
    'prompts of the calibration half, routed',
    calibration,
    pinned,
    sequence.map((each) => ({
      lane: routedLane({ requests, token, hold }, each, shares, calibration),
      same: ({ promptIds }) => {
        const { level } = begin({ ...each, hold, full }, startOf[index.get(promptIds) ?? 0]).state
        const recording = pinned.recordings[level].get(promptIds)
        return level === full || (recording && neverLeaves(recording, level, { token, hold }, each, full))
          ? level
          : null
      },
    })),
  )
  const answers = [fullAnswers, ...routed]
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
  return { requests, token, hold, grid, chosen: chosen ?? 0, eco, measured, policies }
}

interface Way {
  readonly lane: Lane
  /** The level whose pinned answer is the routed one too; null where it must be run. */
  readonly same: (prompt: Prepared) => number | null
}

/** Routed answers, of which those that never leave their level are taken from the pinned ones. */
function runRouted(run: Runner, what: string, prompts: readonly Prepared[], pinned: Pinned, ways: readonly Way[]) {
  const known = ways.map(({ same }) => new Map(prompts.map((prompt) => [prompt.promptIds, same(prompt)])))
  const lanes = ways.map(({ lane }, i): Lane => ({ ...lane, skips: (ids) => known[i].get(ids) !== null }))
  return run(what, prompts, lanes).map((answers, way) =>
    answers.map((answer, i) => {
      const level = known[way].get(prompts[i].promptIds) ?? null
      return level === null ? answer : pinned.answers[level][i]
    }),
  )
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
