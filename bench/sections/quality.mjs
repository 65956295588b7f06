import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openTokenizer } from '../../dist/engine/tokenizer.js'
import { makeDialogue, strata } from '../../dist/evaluate/support/dialogue.js'
import { seededRandom } from '../../dist/evaluate/support/random.js'
import { importModel } from '../../dist/models/import.js'
import { writeCheckpoint } from '../checkpoint-file.mjs'
import { startDeapd } from '../deapd.mjs'
import { startLlama } from '../llama-side.mjs'

const repository = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** Real models and texts they were not trained on. */
const models = [
  { name: 'support-s', folder: repository('models/support/checkpoint'), texts: supportTexts },
  { name: 'stories260k', folder: repository('../shared/models/stories260k'), texts: storyTexts },
]

const ours = [
  { form: 'fp32', quantisation: 'none', block: 128 },
  { form: 'int8', quantisation: 'int8', block: 128 },
  { form: 'int4 block 256', quantisation: 'int4', block: 256 },
  { form: 'int4 block 128', quantisation: 'int4', block: 128 },
  { form: 'int4 block 32', quantisation: 'int4', block: 32 },
]
const theirs = [
  { form: 'llama.cpp F32', type: 'F32' },
  { form: 'llama.cpp Q4_0', type: 'Q4_0' },
]

/** Mean negative log-likelihood in nats of the same tokens of the same texts, form by form. */
export async function quality({ threads, log }) {
  const root = mkdtempSync(join(tmpdir(), 'deapd-quality-'))
  const tables = {}
  try {
    for (const { name, folder, texts } of models) {
      if (!existsSync(folder)) {
        log(`quality: ${name} is not here, left out`)
        continue
      }
      const rows = []
      const list = texts(folder)
      for (const { form, quantisation, block } of ours) {
        const out = join(root, `${name}-${form.replaceAll(' ', '-')}`)
        const manifest = await importModel({ source: folder, out, quantisation, block, levels: 1, threads: 0 })
        const deapd = await startDeapd(out, threads)
        const scores = []
        for (const text of list) scores.push(await deapd.engine.score(text, null))
        await deapd.close()
        const tokens = scores.reduce((sum, s) => sum + s.tokens, 0)
        const nll = scores.reduce((sum, s) => sum + s.tokens * s.meanNll, 0) / tokens
        const note = quantisation === 'none' ? '' : `blocks of ${manifest.quantisation.block}`
        rows.push({ form, tokens, mean_nll: nll, note })
        log(`quality: ${name}, ${form}: ${nll.toFixed(4)}`)
      }
      const tokenizer = openTokenizer(folder)
      const bos = 1
      const ids = list.map((text) => [bos, ...tokenizer.encode(text)])
      for (const { form, type } of theirs) {
        const path = join(root, `${name}-${type}.gguf`)
        const { fallbacks, matrices } = writeCheckpoint(folder, path, type)
        // Small heads have no flash attention kernel.
        const llama = await startLlama(path, threads, 512, [false])
        let sum = 0
        for (const text of ids) sum += await llama.nll({ ids: text, flashAttention: false })
        await llama.close()
        const tokens = ids.reduce((count, text) => count + text.length - 1, 0)
        const note = fallbacks > 0 ? `${fallbacks} of ${matrices} matrices in F16: 32 does not divide them` : ''
        rows.push({ form, tokens, mean_nll: sum / tokens, note })
        log(`quality: ${name}, ${form}: ${(sum / tokens).toFixed(4)}`)
      }
      tables[name] = rows.map((row) => ({ ...row, over_fp32: row.mean_nll - rows[0].mean_nll }))
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
  return { values: {}, details: tables }
}

/** Held-out dialogues in the form the model was trained on, answers and questions alike. */
function supportTexts(folder) {
  const tokenizer = openTokenizer(folder)
  const random = seededRandom(11)
  return Array.from({ length: 24 }, () => {
    const { system, turns } = makeDialogue(random, 'test', { turns: 16, orders: [2, 4], strata })
    let text = `<|system|>${system}`
    for (const { question, answer } of turns) {
      const longer = `${text}<|user|>${question}<|assistant|> ${answer}</s>`
      if (tokenizer.encode(longer).length > 500) break
      text = longer
    }
    return text
  })
}

function storyTexts(folder) {
  const { nll, greedy } = JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8'))
  return [...nll, ...greedy].map(({ text }) => text)
}
