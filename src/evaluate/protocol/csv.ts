import { closeSync, openSync, writeSync } from 'node:fs'
import type { Answer, ArmRun, EvaluationData, PriorDraws, TrialColumns } from '../records.ts'
import { quantile } from '../statistics/quantiles.ts'
import { cell } from '../support/score.ts'

type Row = readonly (string | number | boolean)[]

/** The tables of an evaluation, a file each; what a file holds is said by its first row. */
export const tables: Readonly<Record<string, (data: EvaluationData) => Iterable<Row>>> = {
  'answers.csv': answerRows,
  'trials.csv': trialRows,
  'arms.csv': armRows,
  'strata.csv': stratumRows,
}

function* answerRows({ arms }: EvaluationData): Generator<Row> {
  yield ['arm', 'prompt', 'stratum', 'kind', 'correct', 'prompt_tokens', 'levels', 'text']
  for (const { answers } of arms) {
    for (const { arm, prompt, stratum, kind, correct, promptTokens, levels, text } of answers) {
      yield [arm, prompt, stratum, kind, Number(correct), promptTokens, levels.join(' '), text]
    }
  }
}

/** A row an answer, with its joules and seconds in every power state: simulated. */
function* trialRows({ arms, powerStates }: EvaluationData): Generator<Row> {
  const columns = ['decode_j', 'request_j', 'decode_s', 'request_s']
  yield ['arm', 'prompt', 'tokens', 'weight_bytes', ...powerStates.flatMap((p) => columns.map((c) => `${c}_${p}`))]
  for (const { arm, answers, trials } of arms) {
    const states = powerStates.map((name) => trials[name])
    for (const [i, { levels }] of answers.entries()) {
      yield [
        arm,
        i,
        levels.length,
        Math.round(states[0].weightBytes[i]),
        ...states.flatMap((t) =>
          [t.decodeJoules, t.requestJoules, t.decodeSeconds, t.requestSeconds].map((column) => short(column[i])),
        ),
      ]
    }
  }
}

/** A row an arm and power state: means over prompts, and savings against the reference, with the energy priors off by ±40 %. */
function* armRows({ arms, powerStates, reference, priorDraws }: EvaluationData): Generator<Row> {
  const savings = ['saving', 'prior_median', 'prior_low', 'prior_high']
  yield [
    ...['arm', 'family', 'kind', 'share', 'power_state', 'prompts', 'correct', 'accuracy_percent'],
    ...['decode_j', 'request_j', 'decode_s', 'request_s', 'weight_bytes_per_token'],
    ...['decode', 'request'].flatMap((what) => savings.map((name) => `${what}_${name}`)),
  ]
  const dense = arms.find(({ arm }) => arm === reference)
  for (const run of arms) {
    const correct = run.answers.filter((answer) => answer.correct).length
    for (const state of powerStates) {
      const own = run.trials[state]
      const draws = priorDraws.find(({ arm, powerState }) => arm === run.arm && powerState === state)
      yield [
        ...[run.arm, run.family, run.kind, run.share === null ? '' : short(run.share), state],
        ...[run.answers.length, correct, ((100 * correct) / run.answers.length).toFixed(2)],
        ...[own.decodeJoules, own.requestJoules, own.decodeSeconds, own.requestSeconds].map((column) =>
          short(mean(column)),
        ),
        Math.round(bytesPerToken(run, own)),
        ...saving(own.decodeJoules, dense?.trials[state].decodeJoules, draws?.decodeSaving),
        ...saving(own.requestJoules, dense?.trials[state].requestJoules, draws?.requestSaving),
      ]
    }
  }
}

function saving(
  own: Float64Array,
  dense: Float64Array = own,
  draws: PriorDraws['decodeSaving'] = new Float64Array(),
): Row {
  const all = [...draws]
  const middle = all.length === 0 ? ['', '', ''] : [0.5, 0.025, 0.975].map((q) => short(quantile(all, q)))
  return [short(1 - mean(own) / mean(dense)), ...middle]
}

function* stratumRows({ arms, mainPowerState }: EvaluationData): Generator<Row> {
  yield [
    ...['arm', 'group', 'prompts', 'correct', 'accuracy_percent', 'low_percent', 'high_percent'],
    ...['power_state', 'decode_j', 'request_j', 'tokens', 'mean_level'],
  ]
  for (const { arm, answers, trials } of arms) {
    const { decodeJoules, requestJoules } = trials[mainPowerState]
    for (const [group, rows] of groupsOf(answers)) {
      const score = cell(rows.length, rows.filter(({ correct }) => correct).length)
      const each = (value: (i: number) => number): string => short(average(rows.map(({ prompt }) => value(prompt))))
      yield [
        ...[arm, group, score.prompts, score.correct],
        ...[score.accuracy, score.low, score.high].map((value) => value.toFixed(2)),
        mainPowerState,
        each((i) => decodeJoules[i]),
        each((i) => requestJoules[i]),
        each((i) => answers[i].levels.length),
        each((i) => average(answers[i].levels.slice(1))),
      ]
    }
  }
}

/** All answers, those of each stratum, of each kind of question, and of wordings that training saw or did not. */
function groupsOf(answers: readonly Answer[]): [string, readonly Answer[]][] {
  const names = (of: (answer: Answer) => string): string[] => [...new Set(answers.map(of))].sort()
  const where = (wanted: (answer: Answer) => boolean): readonly Answer[] => answers.filter(wanted)
  const group = (name: string, rows: readonly Answer[]): [string, readonly Answer[]] => [name, rows]
  const groups = [
    group('all', answers),
    ...names((answer) => answer.stratum).map((name) =>
      group(
        name,
        where(({ stratum }) => stratum === name),
      ),
    ),
    group(
      'wording:known',
      where(({ heldOutWording }) => heldOutWording === false),
    ),
    group(
      'wording:held-out',
      where(({ heldOutWording }) => heldOutWording === true),
    ),
    ...names(({ kind }) => kind).map((name) =>
      group(
        `kind:${name}`,
        where(({ kind }) => kind === name),
      ),
    ),
  ]
  return groups.filter(([, rows]) => rows.length > 0)
}

/** Bytes of weights read per token that decoding gave. */
function bytesPerToken({ answers }: ArmRun, { weightBytes }: TrialColumns): number {
  const tokens = answers.map(({ levels }) => Math.max(0, levels.length - 1))
  return weightBytes.reduce((sum, bytes, i) => sum + bytes * tokens[i], 0) / tokens.reduce((a, b) => a + b, 0)
}

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length
const short = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : '')

/** Writes rows as RFC 4180 has it, in pieces: a table may be larger than a string should be. */
export function writeCsv(path: string, rows: Iterable<Row>): void {
  const file = openSync(path, 'w')
  try {
    let piece = ''
    for (const row of rows) {
      piece += `${row.map(quoted).join(',')}\n`
      if (piece.length < 1 << 20) continue
      writeSync(file, piece)
      piece = ''
    }
    writeSync(file, piece)
  } finally {
    closeSync(file)
  }
}

function quoted(value: string | number | boolean): string {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
