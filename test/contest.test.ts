import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { compareAll, prunedByEach } from '../src/compress/contest.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

const texts = Array.from({ length: 8 }, (_, i) => ({
  messages: [
    { role: 'user', content: `hello world ${i}` },
    { role: 'assistant', content: ['jumps over', 'lazy dog', 'the quick'][i % 3] },
  ],
}))

t.test('every order is chosen from, searched and compared alike, and what is finished is not done again', async (t) => {
  const folder = t.testdir({})
  const source = writeCheckpoint(join(folder, 'hf'), tinyConfig, tinyWeights(tinyConfig, 5), 1)
  const calibration = join(folder, 'calibration.jsonl')
  writeFileSync(calibration, texts.map((line) => JSON.stringify(line)).join('\n'))
  const out = join(folder, 'all')
  const searched = new Set<string>()
  const made: string[] = []
  const onStep = (_done: number, _total: number, what: string): void => {
    if (what.includes('search')) searched.add(readdirSync(out).find((name) => name.endsWith('.part')) ?? '')
  }
  const energy = { board: findBoard('agx-orin-64gb') }
  const options = { energy, calibration, levels: 3, texts: 8, threads: 1, floorShare: 0.8, onStep }
  const killed = prunedByEach(source, out, options, (path) => {
    made.push(basename(path))
    if (made.length === 2) throw new Error('killed')
  })
  await t.rejects(killed, /killed/)
  const entries = await prunedByEach(source, out, options, (path) => made.push(basename(path)))
  t.same(made, ['deap', 'flap', 'magnitude', 'random'])
  t.same([...searched], ['.deap.part', '.flap.part', '.magnitude.part', '.random.part'])
  for (const { choice, manifest } of entries) {
    t.equal(choice.ended.joules.length, manifest.levels.length)
    t.equal(choice.begun.joules.at(-1), manifest.energy_priors?.joules_per_token.at(-1), 'the last is the full network')
  }
  const compared = compareAll(entries, 1)
  t.same(
    compared.map(({ of, name }) => `${of} ${name}`),
    ['chain', 'gates', 'searched', 'alone', 'levels'].flatMap((of) => [`${of} kl`, `${of} error`]),
  )
  t.ok(compared.every(({ rows }) => rows[0].lead.value === 0 && rows.length === 4))
  t.notOk(existsSync(join(out, 'prune')), 'nothing is left but the packages')
})
