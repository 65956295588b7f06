/**
 * Prints what rounding costs: the mean negative log-likelihood (nats per token) of every weight form on the models we have,
 * with each block's scale just covering its largest weight ("nearest") and searched for least squared error. Run as
 * `npm run build && node scripts/quality.mjs`; the texts follow from seeds.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withEngine } from '../dist/cli/run-engine.js'
import { greedy } from '../dist/engine/protocol.js'
import { makeDialogue, strata } from '../dist/evaluate/support/dialogue.js'
import { seededRandom } from '../dist/evaluate/support/random.js'
import { importModel } from '../dist/models/import.js'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const forms = [
  { name: 'float32', quantisation: 'none' },
  { name: 'int8, block 128', quantisation: 'int8', block: 128 },
  { name: 'int4, block 32, nearest', quantisation: 'int4', block: 32, rounding: 'nearest' },
  { name: 'int4, block 32, searched', quantisation: 'int4', block: 32, rounding: 'searched' },
  { name: 'int4, block 128, nearest', quantisation: 'int4', block: 128, rounding: 'nearest' },
  { name: 'int4, block 128, searched', quantisation: 'int4', block: 128, rounding: 'searched' },
]

/** Conversations about shops that training never saw. */
function dialogues(count) {
  const random = seededRandom(7)
  return Array.from({ length: count }, () => {
    const { system, turns } = makeDialogue(random, 'test', { turns: 8, orders: [2, 4], strata })
    return `<|system|>${system}${turns.map((t) => `<|user|>${t.question}<|assistant|> ${t.answer}</s>`).join('')}`
  })
}

/** Stories in the float model's own words: what it predicts best, so that every loss shows. */
function stories(dir, count) {
  return withEngine({ model: dir, threads: 2, provider: 'cpu' }, async (engine) => {
    const texts = []
    for (let seed = 1; seed <= count; seed++) {
      const sampling = { ...greedy, temperature: 1, seed, maxTokens: 400 }
      const request = {
        id: 'story',
        input: { prompt: 'Once upon a time' },
        sampling,
        policy: 'exact',
        level: null,
        maxJoules: null,
      }
      let text = 'Once upon a time'
      for await (const event of engine.generate(request, new AbortController().signal)) text += event.text ?? ''
      texts.push(text)
    }
    return texts
  })
}

const models = [
  { name: 'support-s', source: at('../models/support/checkpoint'), texts: () => dialogues(100) },
  { name: 'stories260k', source: at('../../shared/models/stories260k'), texts: (float) => stories(float, 40) },
]

const folder = mkdtempSync(join(tmpdir(), 'deapd-quality-'))
try {
  for (const { name, source, texts } of models) {
    if (!existsSync(source)) {
      console.log(`\n${name}: ${source} is not there, not measured`)
      continue
    }
    let samples
    let float
    console.log(`\n| ${name} | mean NLL | against float32 | tokens |\n| --- | --- | --- | --- |`)
    for (const { name: form, ...options } of forms) {
      const out = join(folder, `${name} ${form}`)
      await importModel({ source, out, levels: 1, ...options })
      samples ??= await texts(out)
      let [nll, tokens] = [0, 0]
      await withEngine({ model: out, threads: 2, provider: 'cpu' }, async (engine) => {
        for (const text of samples) {
          const scored = await engine.score(text, null)
          nll += scored.meanNll * scored.tokens
          tokens += scored.tokens
        }
      })
      const mean = nll / tokens
      float ??= mean
      console.log(`| ${form} | ${mean.toFixed(4)} | +${(mean - float).toFixed(4)} | ${tokens} |`)
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
