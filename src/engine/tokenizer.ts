import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers'
import { DeapdError, detailOf } from '../errors.ts'

export interface Tokenizer {
  /** Text as token ids without BOS; special tokens written out in the text are recognised. */
  encode(text: string): number[]
  decode(ids: readonly number[]): string
  /** One token as it is spelt, for logprobs. */
  token(id: number): string
  /** Spellings of the special tokens, which user text must not contain. */
  readonly special: readonly string[]
}

interface TokenizerFile {
  readonly added_tokens?: readonly { readonly content: string; readonly special: boolean }[]
}

/** Loads a package's tokenizer.json; throws `package_damaged`. */
export function openTokenizer(dir: string): Tokenizer {
  try {
    const file = JSON.parse(readFileSync(join(dir, 'tokenizer.json'), 'utf8')) as TokenizerFile
    const inner = new HfTokenizer(file, {})
    return {
      encode: (text) => [...inner.encode(text, { add_special_tokens: false }).ids],
      decode: (ids) =>
        ids.length === 0
          ? ''
          : inner.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
      token: (id) => inner.decode([id], { skip_special_tokens: false }),
      special: (file.added_tokens ?? []).filter((token) => token.special).map((token) => token.content),
    }
  } catch (error) {
    throw new DeapdError('package_damaged', { path: dir, file: 'tokenizer.json', detail: detailOf(error) }, error)
  }
}

/** Text of a growing list of ids, piece by piece. */
export interface StreamDecoder {
  push(id: number): string
  /** What was still held back when the list ended: half a character, shown as U+FFFD as `decode` would. */
  end(): string
}

/**
 * Turns a growing list of ids into text that never changes afterwards: a character split over tokens is held back until it
 * is whole. Decoding starts a few tokens back, because a token's spelling may depend on the one before it.
 */
export function streamDecoder(tokenizer: Tokenizer): StreamDecoder {
  const ids: number[] = []
  let from = 0
  let shown = 0
  const take = (isEnd: boolean): string => {
    const before = tokenizer.decode(ids.slice(from, shown))
    const now = tokenizer.decode(ids.slice(from))
    if (now.length <= before.length || (!isEnd && now.endsWith('\uFFFD'))) return ''
    from = shown
    shown = ids.length
    return now.slice(before.length)
  }
  return {
    push(id) {
      ids.push(id)
      return take(false)
    },
    end: () => take(true),
  }
}
