import Type, { type Static } from 'typebox'
import type { Sampling } from '../engine/protocol.ts'
import { Maybe, smallest } from './body.ts'

/** Ollama's and llama.cpp's: the repeat penalty looks back this far. */
const repeatLastN = 64

/** Sampling fields of OpenAI's chat and completion bodies, and the ones that llama.cpp's clients add. */
export const openaiSampling = {
  max_tokens: Maybe(Type.Integer({ minimum: -1 })),
  max_completion_tokens: Maybe(Type.Integer({ minimum: -1 })),
  n_predict: Maybe(Type.Integer({ minimum: -1 })),
  temperature: Maybe(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Maybe(Type.Number({ minimum: 0, maximum: 1 })),
  top_k: Maybe(Type.Integer({ minimum: 0 })),
  min_p: Maybe(Type.Number({ minimum: 0, maximum: 1 })),
  seed: Maybe(Type.Integer()),
  stop: Maybe(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 4 })])),
  presence_penalty: Maybe(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: Maybe(Type.Number({ minimum: -2, maximum: 2 })),
  repeat_penalty: Maybe(Type.Number({ exclusiveMinimum: 0 })),
  repeat_last_n: Maybe(Type.Integer({ minimum: -1 })),
  logit_bias: Maybe(
    Type.Record(Type.String({ pattern: '^\\d+$' }), Type.Number({ minimum: -100, maximum: 100 }), {
      additionalProperties: false,
    }),
  ),
}

const OpenaiSampling = Type.Object(openaiSampling)

/** Temperature is 0 unless asked for: a small model that answers from records is best read greedily. */
export function fromOpenai(body: Static<typeof OpenaiSampling>, topLogprobs: number | null): Sampling {
  return {
    maxTokens: smallest(body.max_tokens, body.max_completion_tokens, body.n_predict),
    temperature: body.temperature ?? 0,
    topP: body.top_p ?? 1,
    topK: body.top_k ?? 0,
    minP: body.min_p ?? 0,
    seed: body.seed ?? null,
    stop: stopList(body.stop),
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
    repeatPenalty: body.repeat_penalty ?? 1,
    repeatLastN: body.repeat_last_n ?? repeatLastN,
    logitBias: Object.entries(body.logit_bias ?? {}).map(([tokenId, bias]) => [Number(tokenId), bias]),
    topLogprobs,
  }
}

/** Ollama's `options`; num_ctx is accepted at any size because the context is the model's own, never larger. */
export const OllamaOptions = Maybe(
  Type.Object({
    num_ctx: Maybe(Type.Number()),
    num_predict: Maybe(Type.Integer()),
    temperature: Maybe(Type.Number({ minimum: 0 })),
    top_k: Maybe(Type.Integer()),
    top_p: Maybe(Type.Number()),
    min_p: Maybe(Type.Number()),
    seed: Maybe(Type.Integer()),
    stop: Maybe(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 64 })])),
    repeat_penalty: Maybe(Type.Number({ exclusiveMinimum: 0 })),
    repeat_last_n: Maybe(Type.Integer({ minimum: -1 })),
    presence_penalty: Maybe(Type.Number()),
    frequency_penalty: Maybe(Type.Number()),
  }),
)

export function fromOllama(options: Static<typeof OllamaOptions> | undefined): Sampling {
  const wish = options ?? {}
  const predict = wish.num_predict ?? -1
  return {
    // Ollama reads 0, -1 and -2 as "until the model stops".
    maxTokens: predict > 0 ? predict : null,
    temperature: wish.temperature ?? 0,
    topP: within(wish.top_p ?? 1, 0, 1),
    topK: Math.max(0, wish.top_k ?? 0),
    minP: within(wish.min_p ?? 0, 0, 1),
    seed: wish.seed === undefined || wish.seed === null || wish.seed < 0 ? null : wish.seed,
    stop: stopList(wish.stop),
    presencePenalty: wish.presence_penalty ?? 0,
    frequencyPenalty: wish.frequency_penalty ?? 0,
    repeatPenalty: wish.repeat_penalty ?? 1,
    repeatLastN: wish.repeat_last_n ?? repeatLastN,
    logitBias: [],
    topLogprobs: null,
  }
}

const within = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))

function stopList(stop: string | readonly string[] | null | undefined): readonly string[] {
  const list = typeof stop === 'string' ? [stop] : (stop ?? [])
  // An empty stop string would end every answer at once.
  return list.filter((text) => text !== '')
}
