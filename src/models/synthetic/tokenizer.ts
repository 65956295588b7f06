const consonants = [...'bdfghjklmnprstvz']
const vowels = [...'aeiou']

/** A pronounceable word per number: base 80 in syllables. */
function word(n: number): string {
  const syllable = consonants[n % 16] + vowels[Math.floor(n / 16) % 5]
  const rest = Math.floor(n / 80)
  return rest === 0 ? syllable : word(rest - 1) + syllable
}

const special = ['<unk>', '<s>', '</s>']

/** How the ids of a made-up vocabulary are spelt: LLaMA's three special tokens, 256 bytes, then made-up words. */
export const spellings = (vocabSize: number): string[] =>
  Array.from({ length: vocabSize }, (_, id) => {
    if (id < 3) return special[id]
    if (id < 259) return `<0x${(id - 3).toString(16).toUpperCase().padStart(2, '0')}>`
    return `▁${word(id - 259)}`
  })

/** A tokenizer.json of LLaMA's kind without merges: text becomes one token per byte, every id decodes to a word. */
export function syntheticTokenizer(vocabSize: number): object {
  const vocab = Object.fromEntries(spellings(vocabSize).map((spelling, id) => [spelling, id]))
  return {
    version: '1.0',
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    model: { type: 'BPE', unk_token: '<unk>', byte_fallback: true, fuse_unk: true, vocab, merges: [] },
  }
}
