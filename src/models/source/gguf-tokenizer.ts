import { DeapdError } from '../../errors.ts'
import type { GgufValue } from './gguf.ts'
import { addedToken, beginWith, sentencePieceTokenizer } from './spm.ts'

type Metadata = ReadonlyMap<string, GgufValue>

/** The tokenizer.json that a GGUF file's metadata describes. Throws `import_damaged` or `import_unsupported`. */
export function ggufTokenizer(path: string, metadata: Metadata): object {
  const model = String(metadata.get('tokenizer.ggml.model'))
  const make = Object.hasOwn(models, model) ? models[model] : undefined
  if (!make) {
    const detail = `its tokenizer is "${model}"; deapd reads ${Object.keys(models).join(' and ')}`
    throw new DeapdError('import_unsupported', { path, detail })
  }
  return make(path, metadata)
}

/** Tokenizer families by the name that llama.cpp gives them. */
const models: Readonly<Record<string, (path: string, metadata: Metadata) => object>> = {
  llama: (path, metadata) => {
    const texts = list<string>(path, metadata, 'tokens', 'string')
    const scores = list<number>(path, metadata, 'scores', 'number')
    const types = list<number>(path, metadata, 'token_type', 'number')
    if (scores.length !== texts.length || types.length !== texts.length) {
      throw new DeapdError('import_damaged', { path, detail: 'its tokens, scores and types differ in number' })
    }
    const unknownId = id(path, metadata, 'unknown', texts.length, 0)
    const bosId = id(path, metadata, 'bos', texts.length, 1)
    const addsSpace = metadata.get('tokenizer.ggml.add_space_prefix') !== false
    return sentencePieceTokenizer({ texts, scores, types, unknownId, bosId, addsSpace })
  },
  gpt2: byteLevelTokenizer,
}

const digitsOfThree =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const split = (regex: string): object => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
})

const byteLevel = (useRegex: boolean): object => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})

/** How text is cut before byte pairs are joined, by tokenizer.ggml.pre; `ignoreMerges`: a known word is one token. */
const cuts: Readonly<Record<string, { readonly steps: readonly object[]; readonly ignoreMerges: boolean }>> = {
  'llama-bpe': { steps: [split(digitsOfThree), byteLevel(false)], ignoreMerges: true },
  'gpt-2': { steps: [byteLevel(true)], ignoreMerges: false },
  smollm: { steps: [{ type: 'Digits', individual_digits: true }, byteLevel(true)], ignoreMerges: false },
}
const otherNames: Readonly<Record<string, string>> = { llama3: 'llama-bpe', 'llama-v3': 'llama-bpe' }

const control = 3
const userDefined = 4

function byteLevelTokenizer(path: string, metadata: Metadata): object {
  const pre = String(metadata.get('tokenizer.ggml.pre') ?? 'gpt-2')
  const name = otherNames[pre] ?? pre
  const cut = Object.hasOwn(cuts, name) ? cuts[name] : undefined
  if (!cut) {
    const detail = `its tokenizer cuts text as "${pre}"; deapd knows ${Object.keys(cuts).join(', ')}`
    throw new DeapdError('import_unsupported', { path, detail })
  }
  const texts = list<string>(path, metadata, 'tokens', 'string')
  const types = list<number>(path, metadata, 'token_type', 'number')
  const merges = list<string>(path, metadata, 'merges', 'string')
  const bosId = id(path, metadata, 'bos', texts.length, -1)
  const addsBos = bosId >= 0 && metadata.get('tokenizer.ggml.add_bos_token') !== false
  const special = texts.flatMap((content, index) =>
    types[index] === control || types[index] === userDefined
      ? [addedToken(index, content, types[index] === control)]
      : [],
  )
  const added = new Set(special.map((token) => (token as { content: string }).content))
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: cut.steps },
    post_processor: addsBos ? beginWith(texts[bosId], bosId) : null,
    decoder: byteLevel(true),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: cut.ignoreMerges,
      vocab: Object.fromEntries(texts.flatMap((text, index) => (added.has(text) ? [] : [[text, index]]))),
      merges,
    },
  }
}

function list<T extends string | number>(
  path: string,
  metadata: Metadata,
  name: string,
  type: 'string' | 'number',
): T[] {
  const values = metadata.get(`tokenizer.ggml.${name}`)
  if (!Array.isArray(values) || !values.every((value) => typeof value === type)) {
    throw new DeapdError('import_damaged', { path, detail: `tokenizer.ggml.${name} is missing or damaged` })
  }
  return values
}

function id(path: string, metadata: Metadata, name: string, count: number, otherwise: number): number {
  const value = metadata.get(`tokenizer.ggml.${name}_token_id`) ?? otherwise
  if (typeof value !== 'number' || !(value < count)) {
    throw new DeapdError('import_damaged', { path, detail: `tokenizer.ggml.${name}_token_id is ${value}` })
  }
  return value
}
