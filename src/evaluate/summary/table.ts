import type { ArmRun, EvaluationData, TrialColumns } from '../records.ts'

/** An arm's answers as columns beside its energy in the main power state. */
export interface ArmTable {
  readonly run: ArmRun
  readonly correct: Uint8Array
  /** Tokens that decode steps brought: the first token of an answer comes from the prompt's run. */
  readonly decoded: Float64Array
  readonly main: TrialColumns
}

export interface Tables {
  readonly data: EvaluationData
  readonly arms: readonly ArmTable[]
  readonly reference: ArmTable
  readonly primary: ArmTable
  /** Of each prompt, with the strata in the order they come in. */
  readonly strata: readonly string[]
  readonly stratumOf: readonly number[]
  find(arm: string): ArmTable
}

/** Throws a RangeError when arms do not answer the same prompts in the same order: then nothing here is paired. */
export function tabulate(data: EvaluationData): Tables {
  const prompts = data.arms[0].answers
  const strata = [...new Set(prompts.map(({ stratum }) => stratum))]
  const arms = data.arms.map((run) => {
    const { answers } = run
    const paired = answers.length === prompts.length && answers.every(({ prompt }, i) => prompt === prompts[i].prompt)
    if (!paired) throw new RangeError(`arm ${run.arm} did not answer the prompts of ${data.arms[0].arm}`)
    const main = run.trials[data.mainPowerState]
    if (main?.decodeJoules.length !== prompts.length) {
      throw new RangeError(`arm ${run.arm} has no energy for every prompt in ${data.mainPowerState}`)
    }
    return {
      run,
      correct: Uint8Array.from(answers, ({ correct }) => Number(correct)),
      decoded: Float64Array.from(answers, ({ levels }) => Math.max(0, levels.length - 1)),
      main,
    }
  })
  const find = (name: string): ArmTable => {
    const found = arms.find(({ run }) => run.arm === name)
    if (!found) throw new RangeError(`there is no arm ${name}`)
    return found
  }
  return {
    data,
    arms,
    reference: find(data.reference),
    primary: find(data.primary),
    strata,
    stratumOf: prompts.map(({ stratum }) => strata.indexOf(stratum)),
    find,
  }
}

export const total = (values: Float64Array | Uint8Array): number => {
  let sum = 0
  for (const value of values) sum += value
  return sum
}

/** Bytes of weights read per token that a decode step brought. */
export function bytesPerToken({ main, decoded }: ArmTable): number {
  let bytes = 0
  for (let i = 0; i < decoded.length; i++) bytes += main.weightBytes[i] * decoded[i]
  return bytes / total(decoded)
}
