/**
 * How text is cut into words before merging: numbers in pairs of digits, words and numbers with their leading space, runs of
 * punctuation. Pairs keep an order number at two tokens and a price at one, which a small model can match and copy.
 */
export const wordPattern = ' ?\\p{N}{1,2}| ?\\p{L}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+'

export const specialTokens = ['<pad>', '<s>', '</s>', '<|system|>', '<|user|>', '<|assistant|>'] as const

/** The printable stand-in for each byte, as in GPT-2's byte-level BPE. */
function byteAlphabet(): string[] {
  const printable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++))
}

/**
 * Trains a byte-level BPE vocabulary of `vocabSize` tokens on `texts` and returns it as a Hugging Face `tokenizer.json`
 * document. Any text can be encoded: bytes are in the vocabulary. No JavaScript library trains one, hence our own.
 */
export function trainTokenizer(texts: Iterable<string>, vocabSize: number): object {
  const alphabet = byteAlphabet()
  const counts = new Map<string, number>()
  const pattern = new RegExp(wordPattern, 'gu')
  for (const text of texts) {
    for (const [word] of text.matchAll(pattern)) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const words = [...counts].map(([word, count]) => ({
    symbols: [...Buffer.from(word)].map((byte) => alphabet[byte]),
    count,
  }))
  const tokens: string[] = [...specialTokens, ...alphabet]
  const merges: [string, string][] = []
  while (tokens.length < vocabSize) {
    const pairs = new Map<string, number>()
    for (const { symbols, count } of words) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const key = `${symbols[i]} ${symbols[i + 1]}`
        pairs.set(key, (pairs.get(key) ?? 0) + count)
      }
    }
    // Ties are broken by spelling, so that the vocabulary does not depend on the order of the corpus.
    const best = [...pairs].reduce(
      (top, entry) => (entry[1] > top[1] || (entry[1] === top[1] && entry[0] < top[0]) ? entry : top),
      ['', 0] as [string, number],
    )
    if (best[1] === 0) break
    const [left, right] = best[0].split(' ') as [string, string]
    merges.push([left, right])
    tokens.push(left + right)
    for (const word of words) word.symbols = merge(word.symbols, left, right)
  }
  return document(tokens, merges)
}

function merge(symbols: string[], left: string, right: string): string[] {
  const out: string[] = []
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      out.push(left + right)
      i++
    } else {
      out.push(symbols[i])
    }
  }
  return out
}

function document(tokens: readonly string[], merges: readonly [string, string][]): object {
  const added = specialTokens.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: wordPattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 0 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  }
}
