import { DeapdError } from '../errors.ts'
import { reportOf } from './complexity/report.ts'
import type { Router } from './complexity/router.ts'
import { type Routes, routerFor } from './complexity/routes.ts'
import { lowestCachedLevel } from './levels.ts'
import type { Model } from './model.ts'
import type { DoneEvent, FinishReason, GenerateRequest, TokenEvent } from './protocol.ts'
import { createSampler } from './sampler.ts'
import { stopFilter } from './stop.ts'
import type { ChatEncoder } from './template.ts'
import { streamDecoder, type Tokenizer } from './tokenizer.ts'

export interface Loaded {
  readonly model: Model
  readonly tokenizer: Tokenizer
  readonly encodeChat: ChatEncoder
  /** Which policies are routed at present; without it none is. */
  readonly routes?: Routes
}

/** What one row of logits led to. */
export interface Decision {
  readonly tokenId: number
  /** What the caller sees of it; null when the model ended the answer. */
  readonly token: TokenEvent | null
  readonly finished: FinishReason | null
}

/** One answer being made, apart from the running: what was asked, and what each row of logits decides. */
export interface Generation {
  readonly request: GenerateRequest
  readonly promptIds: readonly number[]
  /** Token ids of the answer so far. */
  readonly answer: readonly number[]
  /** The level that decided each of them, and the end token if there was one. */
  readonly decidedAt: readonly number[]
  /** Most tokens the answer may have. */
  readonly limit: number
  /** The smallest level whose cache rows it may go on from. */
  readonly lowestLevel: number
  /** Chooses the level of each token; null where policy or caller have chosen already. */
  readonly router: Router | null
  /** How far the greedy choice is ahead of the second. */
  lead(logits: Float32Array): number
  /** Takes the next token from a row of logits that was computed at `level`. */
  decide(logits: Float32Array, level: number, degraded: boolean): Decision
  summary(
    finishReason: FinishReason,
  ): Omit<DoneEvent, 'cachedTokens' | 'queueSeconds' | 'prefillSeconds' | 'decodeSeconds'>
}

/** Encodes a request; throws `context_length_exceeded`, `level_unknown` or `bad_request` before anything runs. */
export function createGeneration(loaded: Loaded, request: GenerateRequest): Generation {
  const { model, tokenizer, encodeChat } = loaded
  const { manifest } = model
  const { sampling } = request
  const promptIds = encodePrompt(request, manifest.bos_token_id, tokenizer, encodeChat)
  check(request, promptIds, model)
  const limit = Math.min(sampling.maxTokens ?? Number.POSITIVE_INFINITY, model.contextTokens - promptIds.length)
  const sampler = createSampler(sampling, promptIds)
  const decoder = streamDecoder(tokenizer)
  const stops = stopFilter(sampling.stop)
  const chat = 'messages' in request.input
  const router = routerFor(loaded, request, promptIds)
  const answer: number[] = []
  const decidedAt: number[] = []
  const levels: Record<number, number> = {}
  let degradedAny = false
  let shownAny = false

  /** Chat templates end in a word border, so a chat answer's first word brings a space that is not part of it. */
  const trim = (text: string): string => {
    if (shownAny || text.length === 0) return text
    shownAny = true
    return chat && text.startsWith(' ') ? text.slice(1) : text
  }

  return {
    request,
    promptIds,
    answer,
    decidedAt,
    limit,
    lowestLevel: lowestCachedLevel(request, model.levels - 1),
    router,
    lead: sampler.lead,
    decide(logits, level, degraded) {
      const { tokenId, logprob, top } = sampler.next(logits)
      router?.add(tokenId)
      decidedAt.push(level)
      const isEnd = manifest.eos_token_ids.includes(tokenId)
      degradedAny ||= degraded
      if (!isEnd) {
        answer.push(tokenId)
        levels[level] = (levels[level] ?? 0) + 1
      }
      const { text, stopped } = isEnd ? { text: '', stopped: false } : stops.push(decoder.push(tokenId))
      const finished = isEnd || stopped ? 'stop' : answer.length >= limit ? 'length' : null
      const rest = finished && !stopped ? stops.push(decoder.end()).text + stops.flush() : ''
      if (isEnd && rest === '') return { tokenId, token: null, finished }
      const token = {
        id: request.id,
        tokenId,
        token: tokenizer.token(tokenId),
        text: trim(text + rest),
        level,
        logprob,
        topLogprobs: top?.map((t) => ({ ...t, token: tokenizer.token(t.tokenId) })) ?? null,
      }
      return { tokenId, token, finished }
    },
    summary: (finishReason) => ({
      id: request.id,
      finishReason,
      promptTokens: promptIds.length,
      completionTokens: answer.length,
      promptIds,
      levels,
      degraded: degradedAny,
      routing: router && reportOf(router.log),
    }),
  }
}

function check({ level, sampling }: GenerateRequest, promptIds: readonly number[], model: Model): void {
  const full = model.levels - 1
  if (level !== null && !(Number.isInteger(level) && level >= 0 && level <= full)) {
    throw new DeapdError('level_unknown', { level, highest: full })
  }
  const vocabulary = model.manifest.shape.vocab_size
  const named = [...promptIds, ...sampling.logitBias.map(([tokenId]) => tokenId)]
  const unknown = named.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary))
  if (unknown !== undefined)
    throw new DeapdError('bad_request', { detail: `token id ${unknown} is not in the vocabulary` })
  if (promptIds.length >= model.contextTokens) {
    throw new DeapdError('context_length_exceeded', {
      promptTokens: promptIds.length,
      contextTokens: model.contextTokens,
    })
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
