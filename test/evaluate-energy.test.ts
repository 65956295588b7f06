import t from 'tap'
import { boards } from '../src/board/boards/index.ts'
import { powerModesOf } from '../src/board/power-modes.ts'
import type { LaneAnswer } from '../src/evaluate/answers.ts'
import { batchPoints } from '../src/evaluate/energy/batches.ts'
import { trialColumns } from '../src/evaluate/energy/columns.ts'
import {
  cappedSetting,
  costAt,
  decodeWork,
  idealSetting,
  prefillWork,
  thriftySetting,
} from '../src/evaluate/energy/cost.ts'
import { aggregate, totalJoules } from '../src/evaluate/energy/priors.ts'
import { hotBox, throttleTrace } from '../src/evaluate/energy/throttle.ts'
import { draftedTraces, plainTrace, type Trace } from '../src/evaluate/energy/traces.ts'
import { fp32Cost, int4Cost } from '../src/evaluate/protocol/arms.ts'
import { priorDraws, type TracedArm } from '../src/evaluate/protocol/measure.ts'
import { randomRouting } from '../src/evaluate/protocol/random-routing.ts'

const board = boards.find(({ id }) => id === 'agx-orin-64gb') ?? boards[0]
const modes = powerModesOf(board)
const cost = int4Cost([0.4, 0.7, 1])
const near = (
  t: { ok(value: boolean, says: string): unknown },
  found: number,
  wanted: number,
  tolerance: number,
  says: string,
) => t.ok(Math.abs(found - wanted) <= tolerance * Math.abs(wanted), `${says}: ${found} against ${wanted}`)

const answer = (ids: readonly number[], levels: readonly number[], more: Partial<LaneAnswer> = {}): LaneAnswer => ({
  text: '',
  ids,
  levels,
  leads: ids.map(() => 9),
  refused: [],
  ...more,
})

t.test('a trace holds every run: none for the first token, one for a refused row', async (t) => {
  const trace = plainTrace(100, answer([5, 6, 7], [2, 0, 2], { refused: [{ at: 2, level: 0, mended: 1 }] }))
  t.same(trace, {
    promptTokens: 100,
    tokens: 2,
    runs: [
      { level: 0, rows: 1, contextTokens: 100, emits: 1 },
      { level: 0, rows: 1, contextTokens: 101, emits: 0 },
      { level: 2, rows: 1, contextTokens: 101, emits: 1 },
    ],
  })
  const mending = answer([5, 6, 7, 8], [2, 0, 0, 2], { refused: [{ at: 3, level: 0, mended: 3 }] })
  const last = { level: 2, rows: 3, contextTokens: 100, emits: 1 }
  t.same(plainTrace(100, mending).runs.at(-1), last, 'what follows a refused row writes the rows before it anew')
})

t.test('drafts save runs and change no answer', async (t) => {
  const phrase = [11, 12, 13, 14, 15, 16, 17, 18]
  const prompts = Array.from({ length: 30 }, (_, i) => [1, ...phrase, 50 + i, 11])
  const ids = [12, 13, 14, 15, 16, 17, 18, 2]
  const setting = cappedSetting(board, modes[2])
  const limits = { maxTokens: 32, contextTokens: 512 }
  const traced = (answers: readonly LaneAnswer[]) => draftedTraces(prompts, answers, 100, cost, setting, limits)
  const plain = traced(
    prompts.map(() =>
      answer(
        ids,
        ids.map(() => 2),
      ),
    ),
  )
  for (const { runs, tokens } of plain) {
    t.equal(tokens, 7)
    t.equal(
      runs.reduce((sum, { emits }) => sum + emits, 0),
      7,
      'every token comes from some run',
    )
  }
  t.ok(plain[29].runs.length < 7, 'what repeats the prompt takes fewer runs than tokens')
  const mixed = traced(prompts.map(() => answer(ids, [2, 0, 0, 0, 2, 2, 2, 2])))
  for (const { runs } of mixed) {
    const levels = runs.flatMap(({ level, emits }) => Array.from({ length: emits }, () => level))
    t.same(levels, [0, 0, 0, 2, 2, 2, 2], 'a run decides tokens of one level only')
  }
  const close = traced(
    prompts.map(() =>
      answer(
        ids,
        ids.map(() => 2),
        { leads: ids.map(() => 0.1) },
      ),
    ),
  )
  for (const { runs } of close) t.ok(runs.every(({ emits, rows }) => emits <= 1 && (rows === 1 || emits === 0)))
})

const traces = Array.from({ length: 40 }, (_, i): Trace => {
  const levels = Array.from({ length: 4 + (i % 9) }, (_, k) => (i + k) % 3)
  return plainTrace(120 + 3 * i, answer(levels, levels))
})

t.test('what a prompt costs is the sum of its runs, and aggregates add up to the same', async (t) => {
  const setting = cappedSetting(board, modes[2])
  const ideal = idealSetting(board, cost)
  const columns = trialColumns(traces, cost, setting, ideal)
  const { runs, promptTokens } = traces[7]
  const clocks = setting.decode(0)
  const decode = runs.reduce((sum, run) => sum + costAt(setting.model, clocks, decodeWork(cost, run)).joules, 0)
  near(t, columns.decodeJoules[7], decode, 1e-12, 'decode')
  const prompt = costAt(setting.model, setting.prefill, prefillWork(cost, promptTokens))
  near(t, columns.requestJoules[7], decode + prompt.joules, 1e-12, 'request')
  const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0)
  const total = totalJoules(aggregate(traces), cost, setting)
  near(t, total.decode, sum(columns.decodeJoules), 1e-9, 'aggregated decode')
  near(t, total.request, sum(columns.requestJoules), 2e-3, 'aggregated request')
  t.ok(sum(columns.idealJoules ?? new Float64Array()) < sum(columns.decodeJoules), 'nothing is better than ideal')
  t.equal(trialColumns([{ promptTokens: 9, tokens: 0, runs: [] }], cost, setting, ideal).decodeJoules[0], 0)
})

t.test('chosen clocks cost at most what the caps of the mode do, in every mode', async (t) => {
  for (const mode of modes) {
    const [capped, thrifty] = [cappedSetting(board, mode), thriftySetting(board, mode, cost)]
    for (const level of [0, 1, 2]) {
      const work = decodeWork(cost, { level, rows: 1, contextTokens: 200 })
      const joules = (setting: typeof capped) => costAt(setting.model, setting.decode(level), work).joules
      t.ok(joules(thrifty) <= joules(capped) + 1e-12, `${mode.name}, level ${level}`)
      t.ok(thrifty.decode(level).gpuHz <= mode.gpuHz && thrifty.decode(level).cpuHz <= mode.cpuHz)
    }
  }
})

const armOf = (arm: string, levels: (i: number) => number, of = cost): TracedArm => ({
  info: { arm, title: arm, kind: 'level', family: 'deap', share: null },
  cost: of,
  traces: Array.from({ length: 25 }, (_, i) => {
    const all = Array.from({ length: 9 }, () => levels(i))
    return plainTrace(150 + i, answer(all, all))
  }),
  clocks: 'capped',
})

t.test('priors that are off move the savings, the same seed moves them the same way', async (t) => {
  const dense = armOf('dense', () => 2)
  const arms = [dense, armOf('low', () => 0), armOf('same', () => 2), armOf('fp32', () => 0, fp32Cost())]
  const draws = priorDraws(board, arms, dense, 30, 5)
  t.same(draws.map(({ arm }) => arm).slice(0, 3), ['low', 'same', 'fp32'])
  t.equal(draws.length, 3 * modes.length)
  for (const { arm, decodeSaving, requestSaving } of draws) {
    t.equal(decodeSaving.length, 30)
    if (arm === 'same') t.ok(decodeSaving.every((saving) => saving === 0))
    if (arm === 'low') {
      t.ok(decodeSaving.every((saving, i) => saving > 0.4 && saving < 0.6 && requestSaving[i] < saving))
      t.ok(new Set(requestSaving).size > 20, 'the part of the prompt depends on the priors')
    }
    if (arm === 'fp32') t.ok(decodeSaving.every((saving) => saving < -5))
  }
  t.same(priorDraws(board, arms, dense, 30, 5), draws)
})

t.test('a batch reads its weights once, at the highest level anyone wants', async (t) => {
  const setting = cappedSetting(board, modes[2])
  const mean = (points: readonly { batch: number; stepJoules: number }[], batch: number) => {
    const values = points.filter((point) => point.batch === batch).map(({ stepJoules }) => stepJoules)
    return values.reduce((a, b) => a + b, 0) / values.length
  }
  const dense = batchPoints('dense', armOf('dense', () => 2).traces, cost, setting)
  const mixed = batchPoints('mixed', armOf('mixed', (i) => (i % 5 === 0 ? 2 : 0)).traces, cost, setting)
  const alone = costAt(setting.model, setting.decode(2), decodeWork(cost, { level: 2, rows: 1, contextTokens: 166 }))
  near(t, mean(dense, 1), alone.joules, 0.01, 'one answer')
  t.ok(mean(dense, 8) < 2 * mean(dense, 1), 'eight cost far less than eight times one')
  const share = (batch: number) => mean(mixed, batch) / mean(dense, batch)
  t.ok(share(8) > share(1) + 0.1, 'the more answers, the likelier one of them wants everything')
})

t.test('in a hot box the board throttles, and less so when answers take less energy', async (t) => {
  const [dense, low] = [armOf('dense', () => 2), armOf('low', () => 0)]
  const box = { ...hotBox, seconds: 300 }
  const all = [dense, low].map(({ info, traces }) => throttleTrace(info.arm, traces, cost, board, 0.35, 3, box))
  for (const { atSeconds, secondsPerToken } of all) {
    t.equal(atSeconds.length, secondsPerToken.length)
    t.ok(atSeconds.every((at, i) => i === 0 || at >= atSeconds[i - 1]))
  }
  const slow = ({ secondsPerToken }: (typeof all)[0]) =>
    secondsPerToken.filter((seconds) => seconds > 1.3 * Math.min(...secondsPerToken.slice(0, 100))).length /
    secondsPerToken.length
  t.ok(slow(all[0]) > 0.05, `dense is slowed down for ${slow(all[0])} of its tokens`)
  t.ok(slow(all[1]) < slow(all[0]))
})

t.test('random routing costs what the routed answers cost', async (t) => {
  const prices = [4, 7, 10]
  const byLevel = prices.map((_, level) => Array.from({ length: 200 }, () => answer([1, 2], [2, level])))
  const routed = Array.from({ length: 200 }, (_, i) => byLevel[i % 4 === 0 ? 2 : 0][i])
  const joules = ({ levels, refused }: LaneAnswer) => prices[levels[1]] + 3 * refused.length
  const costly = routed.map((one, i) => (i % 7 === 0 ? { ...one, refused: [{ at: 1, level: 0, mended: 1 }] } : one))
  const total = (answers: readonly LaneAnswer[]) => answers.reduce((sum, one) => sum + joules(one), 0)
  for (const some of [routed, costly]) {
    const levels = randomRouting(some, byLevel, joules, 11)
    const chosen = levels.map((level, prompt) => byLevel[level][prompt])
    t.ok(Math.abs(total(chosen) - total(some)) <= 6, 'equal to within one answer')
    t.notSame(
      levels,
      some.map(({ levels }) => levels[1]),
    )
    t.same(levels, randomRouting(some, byLevel, joules, 11))
  }
})
