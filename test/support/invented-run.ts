import type { Answer, ArmRun, EvaluationData, RunManifest, TrialColumns } from '../../src/evaluate/records.ts'

/** Made-up answers and joules with known shares, for tests of statistics and report. No model was asked, no board simulated. */
export interface Wanted {
  readonly prompts: number
  readonly seed: number
  /** Share of prompts that the routed arm gets wrong and the dense one right, beyond what it wins. */
  readonly routedLoss?: number
}

const strata = ['easy', 'medium', 'hard'] as const
const states = { '15 W': 0.82, '30 W': 0.86, '50 W': 1, MAXN: 1.22 }
const shares = [0.35, 0.5, 0.65, 0.8, 0.9, 1]
const full = shares.length - 1

export function inventedRun({ prompts, seed, routedLoss = 0.004 }: Wanted): EvaluationData {
  const uniform = (...at: readonly number[]): number => hashed([seed, ...at])
  const difficulty = (i: number): number => uniform(i, 1)
  const stratum = (i: number): number => i % 3
  const length = (i: number): number => 4 + Math.floor(6 * uniform(i, 2)) + 4 * stratum(i)

  /** What share of each stratum a network of this share of the weights answers. */
  const skill = (share: number, quality: number, g: number): number =>
    [0.995, 0.95, 0.82][g] - (1 - share) ** 2 * [0.05, 0.3, 0.7][g] * quality

  const answer = (arm: string, i: number, correct: boolean, levels: readonly number[]): Answer => ({
    arm,
    prompt: i,
    stratum: strata[stratum(i)],
    kind: `kind-${i % 7}`,
    correct,
    promptTokens: 90 + (i % 60),
    levels,
    text: correct ? 'yes' : 'no',
  })

  const trials = (answers: readonly Answer[], read: (level: number) => number, drafts = 1): ArmRun['trials'] =>
    Object.fromEntries(
      Object.entries(states).map(([state, factor]) => {
        const columns: Record<keyof TrialColumns, number[]> = {
          decodeJoules: [],
          requestJoules: [],
          decodeSeconds: [],
          requestSeconds: [],
          weightBytes: [],
          idealJoules: [],
        }
        for (const { levels, promptTokens } of answers) {
          const bytes = levels.slice(1).map((level) => 3.7e9 * read(level))
          const joules = factor * drafts * bytes.reduce((sum, b) => sum + 0.05 + b * 1.8e-10, 0)
          columns.decodeJoules.push(joules)
          columns.requestJoules.push(joules + factor * promptTokens * 0.018)
          columns.decodeSeconds.push(bytes.reduce((sum, b) => sum + 0.002 + b / 150e9, 0) * drafts)
          columns.requestSeconds.push(columns.decodeSeconds[columns.decodeSeconds.length - 1] + promptTokens / 900)
          columns.weightBytes.push(bytes.length === 0 ? 0 : (drafts * bytes.reduce((a, b) => a + b, 0)) / bytes.length)
          columns.idealJoules?.push(joules / factor / 1.25)
        }
        const typed = Object.entries(columns).map(([name, values]) => [name, Float64Array.from(values)])
        return [state, Object.fromEntries(typed)]
      }),
    )

  const fixed = (
    info: Pick<ArmRun, 'arm' | 'title' | 'kind' | 'family' | 'share'>,
    share: number,
    quality: number,
    level: number,
    read: (level: number) => number = () => share,
  ): ArmRun => {
    const answers = Array.from({ length: prompts }, (_, i) => {
      // A little of the luck is each arm's own, so that pairs are discordant both ways.
      const luck = 0.97 * difficulty(i) + 0.03 * uniform(i, 3, level, Math.round(100 * quality))
      const levels = Array.from({ length: length(i) }, (_, token) => (token === 0 ? full : level))
      return answer(info.arm, i, luck < skill(share, quality, stratum(i)), levels)
    })
    return { ...info, answers, trials: trials(answers, read) }
  }

  const reference = fixed(
    { arm: 'int4-dense', title: 'int4, dense', kind: 'reference', family: 'dense', share: 1 },
    1,
    1,
    full,
  )
  const levels = shares.map((share, level) =>
    fixed(
      { arm: `level-${level}`, title: `DEAP level ${level}`, kind: 'level', family: 'deap', share },
      share,
      1,
      level,
      (at) => shares[at],
    ),
  )
  const rivals = Object.entries({ magnitude: 3, flap: 1.8, random: 4 }).flatMap(([family, quality]) =>
    shares
      .slice(0, full)
      .map((share, level) =>
        fixed(
          { arm: `${family}-${level}`, title: `${family}, level ${level}`, kind: 'baseline', family, share },
          share,
          quality,
          level,
        ),
      ),
  )
  const floating = fixed(
    { arm: 'fp32-dense', title: 'fp32, dense', kind: 'baseline', family: 'dense', share: null },
    1,
    0.98,
    full,
    () => 7.2,
  )
  const route = (arm: string, title: string, loss: number, random: boolean): ArmRun => {
    const answers = reference.answers.map(({ correct }, i) => {
      const wanted = random ? Math.floor(4 * uniform(i, 7)) : [0, 1, 1][stratum(i)] + (uniform(i, 5) < 0.2 ? 1 : 0)
      const used = Array.from({ length: length(i) }, (_, token) =>
        token === 0 ? full : token > 9 && uniform(i, token, 8) < 0.3 ? Math.min(full, wanted + 1) : wanted,
      )
      const right = correct ? uniform(i, 6) >= loss + 0.004 : uniform(i, 6) < 0.02
      return answer(arm, i, right, used)
    })
    const kind = random ? 'baseline' : 'routed'
    return {
      arm,
      title,
      kind,
      family: random ? 'random-routing' : 'deap',
      share: null,
      answers,
      trials: trials(answers, (level) => shares[level]),
    }
  }
  const routed = route('routed', 'DEAP routed, balanced', routedLoss, false)
  const joint: ArmRun = {
    ...routed,
    arm: 'joint',
    title: 'levels, clocks and drafts',
    kind: 'joint',
    family: 'joint',
    answers: routed.answers.map((each) => ({ ...each, arm: 'joint' })),
    trials: trials(routed.answers, (level) => shares[level], 0.7),
  }
  const arms = [
    reference,
    floating,
    ...rivals,
    ...levels,
    route('random-routed', 'routed at random', 0.05, true),
    routed,
  ]

  return {
    arms: [...arms, joint],
    reference: 'int4-dense',
    primary: 'routed',
    powerStates: Object.keys(states),
    mainPowerState: '50 W',
    batches: ['int4-dense', 'routed'].flatMap((arm, a) =>
      [1, 2, 3, 4, 5, 6, 7, 8].map((batch) => ({
        arm,
        batch,
        stepJoules: (1 - 0.4 * a) * (0.7 + 0.03 * batch) * (1 + 0.1 * a * Math.log(batch)),
      })),
    ),
    throttling: ['int4-dense', 'routed'].map((arm, a) => {
      const at = Array.from({ length: 4000 }, (_, i) => i * 0.15)
      const slow = (seconds: number): number => (a === 0 && seconds > 240 ? 1.5 + 0.1 * Math.sin(seconds / 9) : 1)
      return {
        arm,
        atSeconds: Float64Array.from(at),
        secondsPerToken: Float64Array.from(at, (s, i) => (0.026 - 0.01 * a) * slow(s) * (1 + 0.05 * uniform(i, 9, a))),
      }
    }),
    priorDraws: ['routed', 'joint'].flatMap((arm, a) =>
      Object.keys(states).map((powerState, s) => ({
        arm,
        powerState,
        decodeSaving: Float64Array.from(
          { length: 500 },
          (_, i) => 0.46 + 0.15 * a + 0.08 * (uniform(i, 11, a, s) - 0.5),
        ),
        requestSaving: Float64Array.from({ length: 500 }, (_, i) => 0.3 + 0.1 * a + 0.1 * (uniform(i, 12, a, s) - 0.5)),
      })),
    ),
    contests: [
      {
        arm: 'routed',
        against: 'random-routed',
        question: 'Does complexity choose better than chance at equal joules?',
      },
    ],
    certificate: { state: 'valid', marginPoints: 1.5, confidence: 0.95, n: 3000, date: '2026-11-24' },
  }
}

export const inventedManifest: RunManifest = {
  model: 'invented',
  digest: 'sha256:0000',
  date: '2026-11-24',
  version: '0.0.0',
  commit: null,
  seed: 7,
  prompts: 10_000,
  board: 'agx-orin-64gb',
  energyOf: 'LLaMA-2-7B int4',
  joules: 'simulated',
  accuracy: 'toy',
  grid: { name: 'World', gramsPerKwh: 481, year: 2023, source: 'Ember, via Our World in Data' },
  details: {
    ambientCelsius: 25,
    sensor: null,
    seeds: { prompts: 7, priors: 11, bootstrap: 7 },
    priors: { idleWatts: '±40 %', dramJoulesPerByte: '±40 %' },
    software: { node: '20.20.2', onnxruntime: '1.30.0' },
  },
}

/** A uniform number in [0, 1) from whole numbers. */
function hashed(parts: readonly number[]): number {
  let h = 0x811c9dc5
  for (const part of parts) {
    h = Math.imul(h ^ part, 0x01000193)
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= h >>> 16
  }
  return (h >>> 0) / 2 ** 32
}
