import { DeapdError } from '../errors.ts'
import { type Fault, type FaultKind, faultOf } from '../twin/faults.ts'
import type { Request } from './engine.ts'

/** What happens to the board during a simulation. Times in milliseconds from its start; budgets as parts of `--budget`. */
export interface Scenario {
  readonly says: string
  /** Requests in order of time; may go on for ever. */
  readonly requests: (random: () => number, endMs: number) => Generator<Request>
  readonly budgetShare?: (atMs: number, endMs: number) => number
  readonly ambientCelsius?: (atMs: number, baseCelsius: number) => number
  readonly faults?: (endMs: number) => readonly Fault[]
}

const exponential = (random: () => number, mean: number): number => -mean * Math.log(1 - random())
const between = (random: () => number, least: number, most: number): number =>
  Math.round(least + (most - least) * random())

/** Independent users: gaps are exponential. */
function* poisson(
  random: () => number,
  endMs: number,
  shape: {
    readonly gapMs: number
    readonly prompt: readonly [number, number]
    readonly answer: readonly [number, number]
  },
): Generator<Request> {
  for (let atMs = exponential(random, shape.gapMs); atMs < endMs; atMs += exponential(random, shape.gapMs)) {
    yield { atMs, promptTokens: between(random, ...shape.prompt), answerTokens: between(random, ...shape.answer) }
  }
}

/** Groups of up to four requests at once, with quiet between them. */
function* bursts(random: () => number, endMs: number, gapMs: number): Generator<Request> {
  for (let atMs = 1000; atMs < endMs; atMs += 500 + exponential(random, gapMs)) {
    const size = between(random, 1, 4)
    for (let i = 0; i < size; i += 1) {
      yield { atMs, promptTokens: between(random, 20, 900), answerTokens: between(random, 5, 250) }
    }
  }
}

/**
 * A load made to catch the law out, in spells of ten seconds: answers that end just before a dwell does, prompts and
 * single tokens in turns, jumps of the batch, a quiet spell before the longest prompt, contexts that grow.
 */
function* adversarial(random: () => number, endMs: number): Generator<Request> {
  for (let fromMs = 500; fromMs < endMs; fromMs += 10_000) {
    const spell = between(random, 0, 4)
    for (const request of spells[spell](random)) yield { ...request, atMs: fromMs + request.atMs }
  }
}

const repeat = (count: number, everyMs: number, of: (i: number) => Omit<Request, 'atMs'>): Request[] =>
  Array.from({ length: count }, (_, i) => ({ atMs: i * everyMs, ...of(i) }))

const spells: readonly ((random: () => number) => Request[])[] = [
  (random) => repeat(8, 1020 + 160 * random(), () => ({ promptTokens: 16, answerTokens: 20 })),
  (random) => repeat(40, 190 + 60 * random(), () => ({ promptTokens: 110, answerTokens: 2 })),
  () => [0, 2000, 2000, 2000, 5000, 5000, 5000, 5000].map((atMs) => ({ atMs, promptTokens: 60, answerTokens: 60 })),
  () => [
    { atMs: 4000, promptTokens: 3000, answerTokens: 3 },
    { atMs: 7500, promptTokens: 3000, answerTokens: 3 },
  ],
  () => [
    { atMs: 0, promptTokens: 2500, answerTokens: 150 },
    { atMs: 3010, promptTokens: 8, answerTokens: 200 },
  ],
]

/** Edges of the budget that avoid every multiple of the dwell. */
function budgetEdges(atMs: number): number {
  const second = (atMs / 1000) % 60
  if (second < 20) return 1
  if (second < 40) return Math.floor(second / 1.37) % 2 === 0 ? 1 : 0.64
  return second < 50 ? 0.5 : 0.8
}

/** Somebody writes all day long, and more by day than by night. */
function* diurnal(random: () => number, endMs: number): Generator<Request> {
  let atMs = 0
  while (atMs < endMs) {
    const hour = (atMs / 3_600_000) % 24
    const busy = 0.15 + 0.85 * Math.max(0, Math.sin((Math.PI * (hour - 6)) / 14))
    atMs += exponential(random, 20_000 / busy)
    const size = between(random, 1, 3)
    for (let i = 0; i < size; i += 1) {
      yield { atMs, promptTokens: between(random, 30, 800), answerTokens: between(random, 20, 300) }
    }
  }
}

/** One client that always has another question. */
function* steady(random: () => number, endMs: number): Generator<Request> {
  yield* poisson(random, endMs, { gapMs: 3_000, prompt: [100, 300], answer: [200, 400] })
}

/** A fault in the middle third of a steady load; with clocks that do not obey the budget is halved meanwhile. */
function faulty(kind: FaultKind, says: string): Scenario {
  const halved = kind.startsWith('clock')
  return {
    says,
    requests: steady,
    faults: (endMs) => [faultOf(kind, endMs / 3, (2 * endMs) / 3)],
    ...(halved ? { budgetShare: (atMs, endMs) => (atMs > 0.45 * endMs && atMs < 0.6 * endMs ? 0.5 : 1) } : {}),
  }
}

export const scenarios = {
  steady: { says: 'several users, the engine nearly always busy', requests: steady },
  saturated: {
    says: 'always four answers under way',
    requests: (r, end) => poisson(r, end, { gapMs: 800, prompt: [100, 300], answer: [200, 400] }),
  },
  burst: { says: 'groups of up to four requests with quiet between', requests: (r, end) => bursts(r, end, 9_000) },
  adversarial: {
    says: 'a load and a budget made to catch the governor out',
    requests: adversarial,
    budgetShare: budgetEdges,
  },
  'step-down': {
    says: 'the budget falls to 64 % in mid-answer, half-way',
    requests: function* (_, endMs) {
      // Long answers one after the other, so that one is under way whenever the budget falls.
      for (let atMs = 500; atMs < endMs; atMs += 9_000) yield { atMs, promptTokens: 200, answerTokens: 400 }
    },
    budgetShare: (atMs, endMs) => (atMs < endMs / 2 ? 1 : 0.64),
  },
  'prefill-heavy': {
    says: 'long prompts, short answers',
    requests: (r, end) => poisson(r, end, { gapMs: 4_000, prompt: [600, 2500], answer: [4, 40] }),
  },
  idle: { says: 'nobody asks', requests: function* () {} },
  mix: {
    says: 'decode, prefill, idle and budget steps',
    requests: function* (random, endMs) {
      for (let fromMs = 0; fromMs < endMs; fromMs += 60_000) {
        const kinds = [
          poisson(random, 20_000, { gapMs: 6_000, prompt: [20, 120], answer: [100, 300] }),
          poisson(random, 20_000, { gapMs: 4_000, prompt: [500, 1500], answer: [10, 60] }),
        ]
        for (const [i, kind] of kinds.entries()) {
          for (const request of kind) yield { ...request, atMs: fromMs + i * 20_000 + request.atMs }
        }
      }
    },
    budgetShare: (atMs) => [1, 0.64, 0.8][Math.floor(atMs / 45_000) % 3],
  },
  'diurnal-24h': {
    says: 'a day: more users and hotter air by day',
    requests: diurnal,
    ambientCelsius: (atMs, base) => base + 6 * Math.sin((2 * Math.PI * (atMs / 3_600_000 - 9)) / 24),
  },
  'fault-loss': faulty('loss', 'the power sensors vanish for a third of the time'),
  'fault-stuck': faulty('stuck', 'the power sensors keep showing one value'),
  'fault-spike': faulty('spike', 'one sample in eleven shows three times the truth'),
  'fault-drift': faulty('drift', 'the power sensors come to show a quarter too little'),
  'fault-clock-refused': faulty('clock-refused', 'the board takes no new clock cap'),
  'fault-clock-ignored': faulty('clock-ignored', 'the board takes clock caps and ignores them'),
  'fault-ambient': faulty('ambient', 'the air is 25 K hotter'),
  'fault-overcurrent': faulty('overcurrent', 'the over-current monitor trips early'),
} as const satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof scenarios

export function findScenario(name: string): Scenario {
  const row = Object.entries(scenarios).find(([known]) => known === name)
  if (row) return row[1]
  const detail = `There is no scenario "${name}". Known: ${Object.keys(scenarios).join(', ')}.`
  throw new DeapdError('bad_usage', { detail })
}
