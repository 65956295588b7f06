import { fork } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { boards } from '../src/board/boards/index.ts'
import { openModel } from '../src/engine/model.ts'
import { loadOrt } from '../src/engine/ort/api.ts'
import { mendFrom } from '../src/engine/scheduling/mend.ts'
import { argmax } from '../src/engine/select.ts'
import { openJournal } from '../src/evaluate/answering/journal.ts'
import { lanesOf } from '../src/evaluate/answering/lanes.ts'
import { fixedLane, type Lane, openAnswerer } from '../src/evaluate/answers.ts'
import { certificateState } from '../src/evaluate/protocol/assemble.ts'
import { tables, writeCsv } from '../src/evaluate/protocol/csv.ts'
import { evaluate } from '../src/evaluate/protocol/run.ts'
import { subjectOf, writeManifest } from '../src/models/certificate.ts'
import { importModel } from '../src/models/import.ts'
import { openPackage } from '../src/models/package.ts'
import { shortQuestions } from './support/short-questions.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

const ort = loadOrt()
const folder = mkdtempSync(join(tmpdir(), 'deapd-answers-'))
const dir = join(folder, 'tiny')
t.before(async () => {
  const source = writeCheckpoint(join(folder, 'source'), tinyConfig, tinyWeights(tinyConfig, 7))
  await importModel({ source, out: dir, quantisation: 'int4', block: 16, levels: 3, threads: 0 })
})
t.teardown(() => rmSync(folder, { recursive: true }))

const prompts = [
  [1, 40, 50, 60],
  [1, 33],
  [1, 90, 91, 92, 93, 94, 95],
  [1, 200, 7],
  [1, 5, 5, 5],
]

/** The plain way: one answer at a time, a token at a time, on a cache of its own. */
function oneByOne(promptIds: readonly number[], levelOf: (token: number) => number, most: number) {
  const { manifest } = openPackage(dir)
  const model = openModel(ort, dir, manifest, 1, { slots: 1 })
  const sequence = model.newSequence()
  let logits = sequence.run(promptIds, model.levels - 1, promptIds.length - 1)
  const ids: number[] = []
  const levels: number[] = []
  for (let level = model.levels - 1; ; level = levelOf(ids.length)) {
    if (ids.length > 0) logits = sequence.run(ids.slice(-1), level, 0)
    ids.push(argmax(logits))
    levels.push(level)
    if (ids.length === most || manifest.eos_token_ids.includes(ids[ids.length - 1])) break
  }
  model.close()
  return { ids, levels }
}

t.test('every lane goes on from one prompt run, and says what answers alone would say', async (t) => {
  const answerer = openAnswerer(ort, dir, { batch: 3, maxTokens: 9 })
  const alternating: Lane = {
    start: () => {
      let tokens = 0
      const level = () => (tokens % 2 === 0 ? 0 : 2)
      return { level, begin: () => undefined, accepts: () => true, add: () => void tokens++ }
    },
  }
  const wish = [() => 0, () => 2, (token: number) => (token % 2 === 0 ? 0 : 2)]
  const { answers, seconds } = answerer.answer(prompts, [fixedLane(0), fixedLane(2), alternating])
  for (const [lane, levelOf] of wish.entries()) {
    for (const [i, promptIds] of prompts.entries()) {
      const { ids, levels, leads } = answers[lane][i]
      t.same({ ids, levels }, oneByOne(promptIds, levelOf, 9), `lane ${lane}, prompt ${i}`)
      t.ok(leads.length === ids.length && leads.every((lead) => lead >= 0))
    }
  }
  t.equal(seconds.lanes.length, 3)
  answerer.close()
})

t.test('a refused row decides nothing: its token is what the level asked for instead says', async (t) => {
  const answerer = openAnswerer(ort, dir, { batch: 3, maxTokens: 6 })
  const firstRows: number[] = []
  const doubting: Lane = {
    start: () => {
      let level = 0
      return {
        level: () => level,
        begin: (logits) => void firstRows.push(argmax(logits)),
        accepts: (_, at) => {
          level = at === 0 ? 2 : 0
          return at !== 0
        },
        add: () => undefined,
      }
    },
  }
  const { answers } = answerer.answer(prompts, [doubting])
  for (const [i, { ids, levels, refused }] of answers[0].entries()) {
    const plain = oneByOne(prompts[i], () => 2, 6)
    t.same({ ids, levels }, plain, 'every second look is the full network, on a cache without the refused row')
    t.same(
      refused,
      ids.slice(1).map((_, at) => ({ at: at + 1, level: 0, mended: 1 })),
    )
    t.equal(firstRows[i], ids[0])
  }
  answerer.close()
})

t.test('a refused token is decided on a cache that the level asked for has written itself', async (t) => {
  const answerer = openAnswerer(ort, dir, { batch: 3, maxTokens: 9 })
  const everyThird: Lane = {
    start: () => {
      let [tokens, again] = [0, false]
      return {
        level: () => (again ? 2 : 0),
        begin: () => undefined,
        accepts: () => {
          again = !again && tokens % 3 === 0
          return !again
        },
        add: () => void tokens++,
      }
    },
  }
  const { answers } = answerer.answer(prompts, [everyThird])
  answerer.close()
  const { manifest } = openPackage(dir)
  const model = openModel(ort, dir, manifest, 1, { slots: 1 })
  const sequence = model.newSequence()
  for (const [i, { ids, levels, refused }] of answers[0].entries()) {
    const places = ids.flatMap((_, at) => (at > 0 && at % 3 === 0 ? [at] : []))
    t.same(
      refused,
      // The row of the token itself and, in between two mendings, the two rows from below.
      places.map((at) => ({ at, level: 0, mended: 3 })),
    )
    for (const at of places) {
      sequence.truncate(0)
      const whole = [...prompts[i], ...ids.slice(0, at)]
      t.equal(argmax(sequence.run(whole, 2, whole.length - 1)), ids[at], `prompt ${i}, token ${at}`)
      t.equal(levels[at], 2)
    }
  }
  model.close()
})

t.test('what is mended: from the first row below the level on, no more than a piece', async (t) => {
  t.equal(mendFrom([2, 2, 2], 2), 3, 'nothing')
  t.equal(mendFrom([2, 0, 2, 1], 2), 1, 'a row of the full network after one from below as well')
  t.equal(mendFrom([0, 0, 1], 1), 0)
  t.equal(mendFrom(new Array(500).fill(0), 4), 437, 'the last 63 rows and the token’s own')
})

t.test('a prompt that fills the context is refused before anything runs', async (t) => {
  const answerer = openAnswerer(ort, dir, { batch: 2 })
  const long = Array.from({ length: tinyConfig.context }, () => 40)
  t.throws(() => answerer.answer([[1], long], [fixedLane(0)]), { code: 'context_length_exceeded' })
  answerer.close()
})

t.test('balanced is routed as certified, and stays at the full level when the certificate is void', async (t) => {
  const routed = join(folder, 'routed')
  cpSync(dir, routed, { recursive: true })
  const { manifest } = openPackage(routed)
  // Every answer starts at the smallest level, and nothing is doubted.
  const sure = { bias: -50, weights: {} }
  const limits = { risk: 0.5, doubt: 1 }
  const routing = { requests: [sure, sure], token: sure, hold: 1, balanced: limits, eco: limits }
  const certificate = {
    ...{ levels: [0, 1, 2], margin_points: 1.5, confidence: 0.95, n: 3000, data_sha256: '', date: '2026-11-24' },
    ...{ loss: 'answers' as const, losses: 1, grid: [], chosen: 0, seed: 1, fit_n: 1 },
    differing: { count: 0, bound: 1 },
    subject_sha256: subjectOf({ ...manifest, routing }),
  }
  const messages = [{ role: 'user' as const, content: '4?' }]
  const levelsWith = (more: object) => {
    writeManifest(routed, { ...manifest, ...more })
    const answerer = openAnswerer(ort, routed, { batch: 1, maxTokens: 4 })
    const promptIds = answerer.encode(messages)
    const lanes = lanesOf(routed, [
      { kind: 'routed', policy: 'balanced' },
      { kind: 'routed', policy: 'eco' },
    ])([{ promptIds, messages }])
    const { answers } = answerer.answer([promptIds], lanes)
    answerer.close()
    return answers.map(([{ levels }]) => levels)
  }
  t.same(levelsWith({ routing, certificate }), [
    [2, 0, 0, 0],
    [2, 0, 0, 0],
  ])
  t.equal(certificateState(openPackage(routed)).state, 'valid')
  t.same(
    levelsWith({ routing: { ...routing, hold: 2 }, certificate }),
    [
      [2, 2, 2, 2],
      [2, 0, 0, 0],
    ],
    'void',
  )
  t.equal(certificateState(openPackage(routed)).state, 'void')
  t.same(
    levelsWith({}),
    [
      [2, 2, 2, 2],
      [2, 2, 2, 2],
    ],
    'nothing to route by',
  )
})

t.test('a journal gives back what was finished, and nothing of other questions', async (t) => {
  const path = join(t.testdir({}), 'deep', 'a.jsonl')
  const block = { from: 0, answers: [], prefillSeconds: 1, laneSeconds: [] }
  openJournal(path, { seed: 1 }).append(block)
  appendFileSync(path, '{"from":32,"ans')
  const again = openJournal(path, { seed: 1 })
  t.same(again.blocks, [block], 'the torn line is gone')
  again.append({ ...block, from: 32 })
  t.equal(openJournal(path, { seed: 1 }).blocks.length, 2)
  t.same(openJournal(path, { seed: 2 }).blocks, [])
})

t.test('an evaluation goes on after a kill, and says what it would have said', async (t) => {
  const source = join(folder, 'source')
  const model = dir
  const calibration = join(folder, 'calibration.jsonl')
  const said = (i: number) => ({
    messages: [
      { role: 'user', content: `${i}?` },
      { role: 'assistant', content: `${i} it is.` },
    ],
  })
  writeFileSync(calibration, Array.from({ length: 12 }, (_, i) => `${JSON.stringify(said(i))}\n`).join(''))
  const options = {
    model,
    source,
    calibration,
    board: boards[0],
    questions: shortQuestions,
    seed: 7,
    hotSeconds: 5,
    draws: 20,
    grid: 'fr',
  }
  const work = join(folder, 'killed')
  const child = fork(new URL('./support/evaluate-child.ts', import.meta.url), [model, source, calibration, work])
  t.equal((await once(child, 'exit'))[1], 'SIGKILL')
  const journal = join(work, 'answers', 'deap.jsonl')
  const kept = readFileSync(journal, 'utf8')
  t.equal(kept.split('\n').filter((line) => line.startsWith('{"from"')).length, 1, 'one block is finished')
  writeFileSync(journal, kept.replace('"text":"', '"text":"kept '))
  const progress: string[] = []
  const resumed = await evaluate({
    ...options,
    work,
    workers: 2,
    onProgress: (done, all, what) => progress.push(`${done} of ${all} ${what}`),
  })
  const whole = await evaluate({ ...options, work: join(folder, 'whole'), workers: 1, onProgress: () => undefined })
  t.equal(resumed.data.arms[0].answers[0].text, `kept ${whole.data.arms[0].answers[0].text}`, 'its answers are used')
  for (const [i, { arm, answers, trials }] of whole.data.arms.entries()) {
    t.same(
      resumed.data.arms[i].answers.map(({ levels }) => levels),
      answers.map(({ levels }) => levels),
      arm,
    )
    t.same(resumed.data.arms[i].trials, trials)
    t.same(
      answers.map(({ prompt }) => prompt),
      answers.map((_, at) => at),
      'prompts are paired',
    )
  }
  t.same(resumed.data.priorDraws, whole.data.priorDraws)
  t.ok(progress.includes('40 of 40 prompts answered by deap'))
  const names = whole.data.arms.map(({ arm }) => arm)
  for (const arm of [
    'int4',
    'fp32',
    'level-0',
    'level-1',
    'routed',
    'magnitude-0',
    'flap-1',
    'random-0',
    'random-routing',
    'lossless',
    'joint',
  ])
    t.ok(names.includes(arm), arm)
  t.match(whole.manifest, { seed: 7, prompts: 40, joules: 'simulated', accuracy: 'toy', grid: { name: 'France' } })
  t.rejects(evaluate({ ...options, work, workers: 1, grid: 'atlantis', onProgress: () => undefined }), {
    code: 'bad_usage',
  })

  const rows = Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, [...table(whole.data)]]))
  t.equal(rows['answers.csv'].length, 1 + names.length * 40)
  t.equal(rows['trials.csv'].length, 1 + names.length * 40)
  t.equal(rows['arms.csv'].length, 1 + names.length * whole.data.powerStates.length)
  for (const [name, [head, ...body]] of Object.entries(rows)) {
    t.ok(
      body.every((row) => row.length === head.length),
      `${name}: every row has all columns`,
    )
  }
  const path = join(folder, 'quoted.csv')
  writeCsv(path, [
    ['a', 'say "b", c'],
    [1, 'two\nlines'],
  ])
  t.equal(readFileSync(path, 'utf8'), 'a,"say ""b"", c"\n1,"two\nlines"\n')
})
