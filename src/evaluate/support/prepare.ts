/**
 * Writes what models/support/train.py reads: the tokenizer and the training dialogues as token ids, with a mask that is 1, 2 or 3
 * on the answers to easy, medium and hard questions, else 0. Run as `node dist/evaluate/support/prepare.js OUT [SEED]`; the same seed gives the same bytes.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { specialTokens, trainTokenizer } from './bpe.ts'
import { type Dialogue, makeDialogue, makePrompts, strata } from './dialogue.ts'
import { type Random, seededRandom } from './random.ts'

const vocabSize = 896

/** Short, easy shops first: with one or two orders to choose from, looking one up is learnt sooner. */
const files = [
  { name: 'warm-up', rows: 6_000, length: 256, turns: 16, orders: [1, 2], split: 'train', strata: ['easy'] },
  { name: 'train', rows: 30_000, length: 384, turns: 20, orders: [2, 4], split: 'train', strata },
  { name: 'long', rows: 2_000, length: 512, turns: 28, orders: [3, 4], split: 'train', strata },
  { name: 'validation', rows: 200, length: 384, turns: 20, orders: [2, 4], split: 'validation', strata },
] as const

const [out, seed = '20261123'] = process.argv.slice(2)
if (!out) throw new Error('usage: node dist/evaluate/support/prepare.js OUT [SEED]')
mkdirSync(out, { recursive: true })
const random = seededRandom(Number(seed))

const sample = Array.from({ length: 4000 }, () => makeDialogue(random, 'train', { turns: 5, orders: [2, 4], strata }))
const document = trainTokenizer(
  sample.flatMap((d) => [d.system, ...d.turns.flatMap((t) => [t.question, ` ${t.answer}`])]),
  vocabSize,
)
writeFileSync(join(out, 'tokenizer.json'), JSON.stringify(document))
const tokenizer = new Tokenizer(document, {})
const id = Object.fromEntries(specialTokens.map((token, index) => [token, index]))
const cache = new Map<string, readonly number[]>()

function encode(text: string): readonly number[] {
  const known = cache.get(text)
  if (known) return known
  const { ids } = tokenizer.encode(text, { add_special_tokens: false })
  cache.set(text, ids)
  return ids
}

/** Line by line, because lines repeat and the cache then does most of the work. */
function encodeLines(text: string): number[] {
  return text.split('\n').flatMap((line, i) => (i === 0 ? encode(line) : [...encode('\n'), ...encode(line)]))
}

/** The dialogue as ids and answer mask, with as many whole turns as fit into `length` + 1 tokens. */
function tokenise(dialogue: Dialogue, length: number): { ids: number[]; mask: number[] } {
  const ids = [id['<s>'], id['<|system|>'], ...encodeLines(dialogue.system)]
  const mask = ids.map(() => 0)
  for (const turn of dialogue.turns) {
    const question = [id['<|user|>'], ...encode(turn.question), id['<|assistant|>']]
    const answer = [...encode(` ${turn.answer}`), id['</s>']]
    if (ids.length + question.length + answer.length > length + 1) break
    ids.push(...question, ...answer)
    mask.push(...question.map(() => 0), ...answer.map(() => 1 + strata.indexOf(turn.stratum)))
  }
  return { ids, mask }
}

function write(name: string, rows: number, length: number, make: (random: Random) => Dialogue): void {
  const width = length + 1
  const ids = new Uint16Array(rows * width)
  const mask = new Uint8Array(rows * width)
  for (let row = 0; row < rows; row++) {
    const one = tokenise(make(random), length)
    ids.set(one.ids, row * width)
    mask.set(one.mask, row * width)
  }
  writeFileSync(join(out, `${name}.ids`), ids)
  writeFileSync(join(out, `${name}.mask`), mask)
  process.stderr.write(`${name}: ${rows} rows of ${width}\n`)
}

for (const { name, rows, length, split, ...options } of files) {
  write(name, rows, length, (r) => makeDialogue(r, split, options))
}

/** What `deapd prune` and `deapd certify` read: prompts with their right answers, from the split that neither training nor the test uses. */
const calibration = makePrompts(random, 'calibration', 6000).map(({ system, question, answer, stratum }) =>
  JSON.stringify({
    system,
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
    stratum,
  }),
)
writeFileSync(join(out, 'calibration.jsonl'), calibration.join('\n'))
