import { powerModesOf } from '../../board/power-modes.ts'
import { gridOf } from '../../energy/carbon.ts'
import { openTemplate } from '../../engine/template.ts'
import { openTokenizer } from '../../engine/tokenizer.ts'
import { DeapdError } from '../../errors.ts'
import { openPackage } from '../../models/package.ts'
import { version } from '../../version.ts'
import type { Asked } from '../answering/block.ts'
import { openPool, type Pool } from '../answering/pool.ts'
import { type ArmRun, type EvaluationData, type RunManifest, togetherArm } from '../records.ts'
import { type Contestant, contestsOf, energyOf, primaryArm, referenceArm } from './arms.ts'
import { type AnsweredArm, certificateState, jointArm, plainArm, randomArm, scored } from './assemble.ts'
import { collect } from './collect.ts'
import { commitOf, energyConditions, machine, packagesOf } from './manifest.ts'
import { batchesOf, priorDraws, settingOf, throttlingOf, trialsOf } from './measure.ts'
import { contestants, type PackageOptions } from './packages.ts'
import type { Question } from './questions.ts'

/** Baselines and answers are kept in the folder `work`, which a killed run goes on from. */
export interface EvaluationOptions extends PackageOptions {
  readonly questions: readonly Question[]
  readonly workers: number
  /** Draws of the energy priors. */
  readonly draws: number
  /** Whose electricity: a code of `energy/carbon.ts`. */
  readonly grid: string
  /** How long the arms are served in the hot box. */
  readonly hotSeconds?: number
}

/** Most tokens of an answer, the end token included. */
const maxTokens = 32
/** The headline figures are those of the budget a new install has, where the board knows such a mode. */
const mainPowerState = '50W'

/** The paper's protocol on one package: every arm answers the same prompts, and what its runs cost on the board follows. */
export async function evaluate(options: EvaluationOptions): Promise<{ data: EvaluationData; manifest: RunManifest }> {
  const { model, board, questions, seed, workers, draws, onProgress } = options
  const grid = gridOf(options.grid)?.row
  if (!grid) throw new DeapdError('bad_usage', { detail: `"${options.grid}" is not a country we know.` })
  const { id, dir, digest, manifest } = openPackage(model)
  const asked = ask(dir, questions)
  const prompts = asked.map(({ promptIds }) => promptIds)
  const all = await contestants(options)
  const pool = openPool(workers)
  const answered = await answerAll(all, asked, options, pool).finally(pool.close)
  const { arms } = answered
  const find = (name: string): AnsweredArm => {
    const found = arms.find(({ info }) => info.arm === name)
    if (!found) throw new RangeError(`there is no arm ${name}`)
    return found
  }
  const [reference, routed] = [find(referenceArm), find(primaryArm)]
  const levels = all[0].arms.filter(({ lane }) => lane.kind === 'level').map(({ arm }) => find(arm))
  levels.sort((a, b) => (a.info.share ?? 0) - (b.info.share ?? 0))
  const modes = powerModesOf(board)
  const main = modes.find(({ name }) => name === mainPowerState) ?? modes[modes.length - 1]
  const joint = { board, mode: main, shape: manifest.shape, maxTokens }
  arms.push(
    randomArm(routed, levels, prompts, settingOf(board, main, routed), seed),
    jointArm(routed, { arm: togetherArm, title: 'DEAP routed, clocks and drafts' }, prompts, joint),
    jointArm(reference, { arm: 'lossless', title: 'dense int4, clocks and drafts' }, prompts, joint),
  )
  const data: EvaluationData = {
    arms: arms.map((arm, i): ArmRun => {
      onProgress(i + 1, arms.length, 'arms priced')
      return { ...arm.info, answers: scored(arm, questions, prompts), trials: trialsOf(board, arm) }
    }),
    reference: referenceArm,
    primary: primaryArm,
    powerStates: modes.map(({ name }) => name),
    mainPowerState: main.name,
    batches: batchesOf(board, main, [reference, levels[0], routed]),
    throttling: throttlingOf(board, [reference, routed], reference, seed, options.hotSeconds),
    priorDraws: priorDraws(board, arms, reference, draws, seed),
    contests: contestsOf(
      arms.map(({ info }) => info),
      all,
    ),
    certificate: certificateState({ dir, manifest }),
  }
  return {
    data,
    manifest: {
      model: id,
      digest,
      date: new Date().toISOString(),
      version,
      commit: commitOf(),
      seed,
      prompts: questions.length,
      board: board.id,
      energyOf,
      joules: 'simulated',
      accuracy: 'toy',
      grid,
      details: {
        packages: packagesOf(all),
        energy: energyConditions(board),
        machine: machine(),
        answers: { workers, maxTokens, batchOnBoard: 1, runSeconds: answered.runSeconds },
        seeds: { questions: seed, randomRouting: seed, throttling: seed, priors: [seed, seed + draws - 1] },
      },
    },
  }
}

/** Questions as a package reads them. */
function ask(dir: string, questions: readonly Question[]): Asked[] {
  const encode = openTemplate(dir, openPackage(dir).manifest, openTokenizer(dir))
  return questions.map(({ messages }) => ({ messages, promptIds: encode(messages) }))
}

async function answerAll(
  all: readonly Contestant[],
  asked: readonly Asked[],
  { work, questions, onProgress }: EvaluationOptions,
  pool: Pool,
): Promise<{ arms: AnsweredArm[]; runSeconds: Record<string, number> }> {
  const arms: AnsweredArm[] = []
  const runSeconds: Record<string, number> = {}
  for (const contestant of all) {
    const { name, dir, cost } = contestant
    // All but another package have the tokenizer of the one under test.
    const own = name === 'versus' ? ask(dir, questions) : asked
    const { answers, prefillSeconds, laneSeconds } = await collect(contestant, {
      work,
      digest: openPackage(dir).digest,
      prompts: own,
      maxTokens,
      pool,
      onProgress: (done, total) => onProgress(done, total, `prompts answered by ${name}`),
    })
    runSeconds[`${name}, prompts`] = prefillSeconds
    for (const [lane, arm] of contestant.arms.entries()) {
      const { lane: _, ...info } = arm
      runSeconds[info.arm] = laneSeconds[lane]
      arms.push(
        plainArm(
          info,
          cost,
          asked.map(({ promptIds }) => promptIds),
          answers[lane],
        ),
      )
    }
  }
  return { arms, runSeconds }
}
