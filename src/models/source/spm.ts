/** A SentencePiece vocabulary, as a GGUF file or a tokenizer.model holds it; places in the arrays are token ids. */
export interface Pieces {
  readonly texts: readonly string[]
  readonly scores: ArrayLike<number>
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types: ArrayLike<number>
  readonly unknownId: number
  readonly bosId: number
  /** Text begins as if a space stood before it. */
  readonly addsSpace: boolean
}

const unknown = 2
const control = 3
const userDefined = 4

/** The tokenizer.json that Hugging Face makes of a SentencePiece BPE model such as LLaMA-2's. */
export function sentencePieceTokenizer(pieces: Pieces): object {
  const { texts, types, unknownId, bosId, addsSpace } = pieces
  const added = texts.flatMap((content, id) =>
    [unknown, control, userDefined].includes(types[id]) ? [addedToken(id, content, types[id] !== userDefined)] : [],
  )
  const space = { String: '▁' }
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: addsSpace ? [{ type: 'Prepend', prepend: '▁' }, replace] : [replace],
    },
    pre_tokenizer: null,
    post_processor: beginWith(texts[bosId], bosId),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: space, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: texts[unknownId],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(texts.map((text, id) => [text, id])),
      merges: mergesOf(pieces),
    },
  }
}

export const addedToken = (id: number, content: string, special: boolean): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
})

/** A post-processor that puts the token of a beginning before every text. */
export function beginWith(token: string, id: number): object {
  const special = (type: number) => ({ SpecialToken: { id: token, type_id: type } })
  const text = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } })
  return {
    type: 'TemplateProcessing',
    single: [special(0), text('A', 0)],
    pair: [special(0), text('A', 0), special(1), text('B', 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  }
}

/**
 * SentencePiece joins the pair whose piece has the highest score; a BPE model joins the pair that comes first in a list. So
 * the list is every way to split a piece in two pieces, by falling score; ties by the ids of the parts, as in LLaMA's files.
 */
function mergesOf({ texts, scores }: Pieces): string[] {
  const ids = new Map(texts.map((text, id) => [text, id]))
  const merges = texts.flatMap((text, id) =>
    splits(text).flatMap(([left, right]) => {
      const [l, r] = [ids.get(left), ids.get(right)]
      return l === undefined || r === undefined ? [] : [{ text: `${left} ${right}`, score: scores[id], l, r, id }]
    }),
  )
  merges.sort((a, b) => b.score - a.score || a.id - b.id || a.l - b.l || a.r - b.r)
  return merges.map(({ text }) => text)
}

function splits(text: string): [string, string][] {
  const characters = Array.from(text)
  return characters.slice(1).map((_, i) => [characters.slice(0, i + 1).join(''), characters.slice(i + 1).join('')])
}
