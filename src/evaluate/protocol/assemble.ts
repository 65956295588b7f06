import type { PowerMode } from '../../board/power-modes.ts'
import type { Board } from '../../board/types.ts'
import type { ModelCost } from '../../board/work.ts'
import { checkCertificate } from '../../models/certificate.ts'
import type { Manifest } from '../../models/manifest.ts'
import type { ModelPackage } from '../../models/package.ts'
import type { LaneAnswer } from '../answers.ts'
import { costAt, decodeWork, type Setting, thriftySetting } from '../energy/cost.ts'
import { draftedTraces, plainTrace } from '../energy/traces.ts'
import type { Answer, ArmInfo, CertificateState } from '../records.ts'
import type { TracedArm } from './measure.ts'
import { isRight, type Question } from './questions.ts'
import { randomRouting } from './random-routing.ts'

/** An arm with what it said and the runs behind that. */
export interface AnsweredArm extends TracedArm {
  readonly answers: readonly LaneAnswer[]
}

export type PromptIds = readonly (readonly number[])[]

export function plainArm(
  info: ArmInfo,
  cost: ModelCost,
  prompts: PromptIds,
  answers: readonly LaneAnswer[],
): AnsweredArm {
  const traces = answers.map((answer, i) => plainTrace(prompts[i].length, answer))
  return { info, cost, answers, traces, clocks: 'capped' }
}

/** Random routing at the joules of the routed arm, out of the answers that the levels gave; `levels` from the smallest up. */
export function randomArm(
  routed: AnsweredArm,
  levels: readonly AnsweredArm[],
  prompts: PromptIds,
  { model, decode }: Setting,
  seed: number,
): AnsweredArm {
  const { cost } = routed
  const joules = (answer: LaneAnswer, prompt: number): number =>
    plainTrace(prompts[prompt].length, answer).runs.reduce(
      (sum, run) => sum + costAt(model, decode(run.level), decodeWork(cost, run)).joules,
      0,
    )
  const chosen = randomRouting(
    routed.answers,
    levels.map(({ answers }) => answers),
    joules,
    seed,
  )
  const info: ArmInfo = {
    arm: 'random-routing',
    title: 'levels drawn at random, at the joules of the routed arm',
    kind: 'baseline',
    family: 'random-routing',
    share: null,
  }
  return plainArm(
    info,
    cost,
    prompts,
    chosen.map((level, prompt) => levels[level].answers[prompt]),
  )
}

/** The same answers one at a time, with drafts verified and clocks chosen. */
export function jointArm(
  arm: AnsweredArm,
  info: Pick<ArmInfo, 'arm' | 'title'>,
  prompts: PromptIds,
  { board, mode, shape, maxTokens }: { board: Board; mode: PowerMode; shape: Manifest['shape']; maxTokens: number },
): AnsweredArm {
  const { cost, answers } = arm
  const setting = thriftySetting(board, mode, cost)
  const limits = { maxTokens, contextTokens: shape.context_tokens }
  return {
    info: { ...info, kind: 'joint', family: 'joint', share: null },
    cost,
    answers,
    traces: draftedTraces(prompts, answers, shape.vocab_size, cost, setting, limits),
    clocks: 'thrifty',
  }
}

export const scored = ({ info, answers }: AnsweredArm, questions: readonly Question[], prompts: PromptIds): Answer[] =>
  answers.map(({ text, levels }, prompt) => ({
    arm: info.arm,
    prompt,
    stratum: questions[prompt].stratum,
    kind: questions[prompt].kind,
    correct: isRight(text, questions[prompt]),
    promptTokens: prompts[prompt].length,
    levels,
    text,
    heldOutWording: questions[prompt].heldOutWording,
  }))

export function certificateState({ dir, manifest }: Pick<ModelPackage, 'dir' | 'manifest'>): CertificateState {
  const { state } = checkCertificate(dir, manifest)
  const { certificate } = manifest
  if (!certificate) return { state, marginPoints: null, confidence: null, n: null, date: null }
  const { margin_points: marginPoints, confidence, n, date } = certificate
  return { state, marginPoints, confidence, n, date }
}
