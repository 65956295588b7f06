import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openModel } from '../src/engine/model.ts'
import { loadOrt } from '../src/engine/ort/api.ts'
import { argmax } from '../src/engine/select.ts'
import { fixedLane, type Lane, openAnswerer } from '../src/evaluate/answers.ts'
import { importModel } from '../src/models/import.ts'
import { openPackage } from '../src/models/package.ts'
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
      ids.slice(1).map((_, at) => ({ at: at + 1, level: 0 })),
    )
    t.equal(firstRows[i], ids[0])
  }
  answerer.close()
})

t.test('a prompt that fills the context is refused before anything runs', async (t) => {
  const answerer = openAnswerer(ort, dir, { batch: 2 })
  const long = Array.from({ length: tinyConfig.context }, () => 40)
  t.throws(() => answerer.answer([[1], long], [fixedLane(0)]), { code: 'context_length_exceeded' })
  answerer.close()
})
