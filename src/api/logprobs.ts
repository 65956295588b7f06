import type { Token } from './answers.ts'

/** `logprobs.content` of a chat answer. */
export function chatLogprobs(tokens: readonly Token[]): object {
  return {
    content: tokens.map((token) => ({
      ...entry(token.token, token.logprob),
      top_logprobs: (token.topLogprobs ?? []).map((other) => entry(other.token, other.logprob)),
    })),
    refusal: null,
  }
}

/** `logprobs` of a text completion, in the older shape; offsets count characters from `offset`. */
export function completionLogprobs(tokens: readonly Token[], offset: number): object {
  let at = offset
  const offsets = tokens.map((token) => {
    const start = at
    at += token.text.length
    return start
  })
  return {
    tokens: tokens.map((token) => token.token),
    token_logprobs: tokens.map((token) => token.logprob),
    top_logprobs: tokens.map((token) =>
      Object.fromEntries((token.topLogprobs ?? []).map((other) => [other.token, other.logprob])),
    ),
    text_offset: offsets,
  }
}

function entry(token: string, logprob: number | null): object {
  return { token, logprob, bytes: [...Buffer.from(token)] }
}
