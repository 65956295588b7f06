import type { GenerateRequest } from '../protocol.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { type PromptFeatures, promptFeatures } from './features.ts'

/** Of a prompt without turns the end is what is asked: so many characters or tokens of it. */
const tail = { characters: 400, tokens: 64 }

/** The features of whatever was asked: the last message of a conversation, or the end of a raw prompt. */
export function featuresOf(
  input: GenerateRequest['input'],
  promptIds: readonly number[],
  tokenizer: Pick<Tokenizer, 'encode' | 'decode'>,
  vocabulary: number,
): PromptFeatures {
  const { text, turn } = asked(input, tokenizer)
  const ids = tokenizer.encode(text)
  // The template may add a token or two after the question; they are the same for every prompt.
  const before = promptIds.slice(0, Math.max(0, promptIds.length - ids.length - 1))
  return promptFeatures({ text, before, ids, turn, vocabulary })
}

function asked(input: GenerateRequest['input'], tokenizer: Pick<Tokenizer, 'decode'>): { text: string; turn: number } {
  if ('messages' in input) {
    const questions = input.messages.filter(({ role }) => role === 'user')
    return { text: questions.at(-1)?.content ?? '', turn: Math.max(1, questions.length) }
  }
  const text = 'ids' in input ? tokenizer.decode(input.ids.slice(-tail.tokens)) : input.prompt.slice(-tail.characters)
  return { text, turn: 1 }
}
