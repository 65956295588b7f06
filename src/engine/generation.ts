import { DeapdError } from '../errors.ts'
import { chooseLevel, type LevelOrder } from './levels.ts'
import type { Model, Sequence } from './model.ts'
import {
  type DoneEvent,
  defaultPrefillChunk,
  type FinishReason,
  type GenerateRequest,
  type Order,
  type TokenEvent,
} from './protocol.ts'
import { createSampler, type Sampler } from './sampler.ts'
import { stopFilter } from './stop.ts'
import type { ChatEncoder } from './template.ts'
import { streamDecoder, type Tokenizer } from './tokenizer.ts'

export interface Loaded {
  readonly model: Model
  readonly tokenizer: Tokenizer
  readonly encodeChat: ChatEncoder
}

/** What one step did, for pacing and the energy bill, and the token it decided, if it did. */
export interface StepResult {
  readonly phase: 'prefill' | 'decode'
  readonly level: number
  readonly tokens: number
  readonly contextTokens: number
  readonly token: TokenEvent | null
  readonly finished: FinishReason | null
}

/** Tokens in an answer when the caller sets no limit: whatever the context still holds. */
const unlimited = Number.POSITIVE_INFINITY

/** One answer being made: `step` runs one chunk of the prompt or one token, and says what it did. */
export interface Generation {
  readonly request: GenerateRequest
  readonly promptIds: readonly number[]
  start(sequence: Sequence): void
  step(order: LevelOrder & Pick<Order, 'prefillChunk'>): StepResult
  summary(finishReason: FinishReason): Omit<DoneEvent, 'queueSeconds' | 'prefillSeconds' | 'decodeSeconds'>
}

/** Encodes a request; throws `context_length_exceeded`, `level_unknown` or `bad_request` before anything runs. */
export function createGeneration({ model, tokenizer, encodeChat }: Loaded, request: GenerateRequest): Generation {
  const { manifest } = model
  const promptIds = encodePrompt(request, manifest.bos_token_id, tokenizer, encodeChat)
  const full = model.levels - 1
  if (request.level !== null && !(Number.isInteger(request.level) && request.level >= 0 && request.level <= full)) {
    throw new DeapdError('level_unknown', { level: request.level, highest: full })
  }
  const unknown = promptIds.find((id) => !(Number.isInteger(id) && id >= 0 && id < manifest.shape.vocab_size))
  if (unknown !== undefined)
    throw new DeapdError('bad_request', { detail: `token id ${unknown} is not in the vocabulary` })
  if (promptIds.length >= model.contextTokens) {
    throw new DeapdError('context_length_exceeded', {
      promptTokens: promptIds.length,
      contextTokens: model.contextTokens,
    })
  }
  const room = model.contextTokens - promptIds.length
  const limit = Math.min(request.sampling.maxTokens ?? unlimited, room)
  const sample: Sampler = createSampler(request.sampling)
  const decode = streamDecoder(tokenizer)
  const stops = stopFilter(request.sampling.stop)
  const chat = 'messages' in request.input
  const answer: number[] = []
  const levels: Record<number, number> = {}
  let degraded = false
  let shownAny = false
  let sequence: Sequence
  let logits: Float32Array | undefined

  /** Chat templates end in a word border, so a chat answer's first word brings a space that is not part of it. */
  const trim = (text: string): string => {
    if (shownAny || text.length === 0) return text
    shownAny = true
    return chat && text.startsWith(' ') ? text.slice(1) : text
  }

  const decide = (level: number): Pick<StepResult, 'token' | 'finished'> => {
    if (!logits) return { token: null, finished: null }
    const { tokenId, logprob, top } = sample(logits, answer)
    const isEnd = manifest.eos_token_ids.includes(tokenId)
    if (!isEnd) {
      answer.push(tokenId)
      levels[level] = (levels[level] ?? 0) + 1
    }
    const { text, stopped } = isEnd ? { text: '', stopped: false } : stops.push(decode(tokenId))
    const finished = isEnd || stopped ? 'stop' : answer.length >= limit ? 'length' : null
    const rest = finished && !stopped ? stops.flush() : ''
    if (isEnd && rest === '') return { token: null, finished }
    const topLogprobs = top?.map((t) => ({ ...t, token: tokenizer.token(t.tokenId) })) ?? null
    const token = {
      id: request.id,
      tokenId,
      token: tokenizer.token(tokenId),
      text: trim(text + rest),
      level,
      logprob,
      topLogprobs,
    }
    return { token, finished }
  }

  return {
    request,
    promptIds,
    start: (fresh) => {
      sequence = fresh
    },
    step(order) {
      const contextTokens = sequence.length
      if (contextTokens < promptIds.length) {
        // The prompt always runs at the full level, so that the cache is exact whatever level decodes (DESIGN §6).
        const ids = promptIds.slice(contextTokens, contextTokens + (order.prefillChunk ?? defaultPrefillChunk))
        const run = sequence.run(ids, full, ids.length - 1)
        const last = contextTokens + ids.length === promptIds.length
        logits = last ? run : undefined
        const outcome = !last
          ? { token: null, finished: null }
          : limit === 0
            ? { token: null, finished: 'length' as const }
            : decide(full)
        return { phase: 'prefill', level: full, tokens: ids.length, contextTokens, ...outcome }
      }
      const choice = chooseLevel(request, manifest, order)
      degraded ||= choice.degraded
      logits = sequence.run([answer[answer.length - 1]], choice.level, 0)
      return { phase: 'decode', level: choice.level, tokens: 1, contextTokens, ...decide(choice.level) }
    },
    summary: (finishReason) => ({
      id: request.id,
      finishReason,
      promptTokens: promptIds.length,
      cachedTokens: 0,
      completionTokens: answer.length,
      promptIds,
      levels,
      degraded,
    }),
  }
}

function encodePrompt(
  { input }: GenerateRequest,
  bosTokenId: number,
  tokenizer: Tokenizer,
  encodeChat: ChatEncoder,
): readonly number[] {
  if ('messages' in input) return encodeChat(input.messages)
  const ids = 'ids' in input ? input.ids : tokenizer.encode(input.prompt)
  return ids[0] === bosTokenId ? ids : [bosTokenId, ...ids]
}
