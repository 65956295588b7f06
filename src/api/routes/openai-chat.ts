import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { GenerateRequest } from '../../engine/protocol.ts'
import { DeapdError } from '../../errors.ts'
import { collect } from '../answers.ts'
import { Maybe, refuse } from '../body.ts'
import { clientKey } from '../client-key.ts'
import { EnergyField, energyWish, usageOf } from '../energy.ts'
import { chatLogprobs } from '../logprobs.ts'
import { toConversation, WireMessage } from '../messages.ts'
import { checkModel } from '../model-name.ts'
import { sse } from '../outlet.ts'
import type { Answer } from '../ports.ts'
import { fromOpenai, openaiSampling } from '../sampling.ts'
import type { Scope } from '../scope.ts'
import { type Dialect, sseFraming, streamAnswer } from '../stream.ts'

const Body = Type.Object({
  model: Maybe(Type.String()),
  messages: Type.Array(WireMessage, { minItems: 1 }),
  stream: Maybe(Type.Boolean()),
  stream_options: Maybe(Type.Object({ include_usage: Maybe(Type.Boolean()) })),
  logprobs: Maybe(Type.Boolean()),
  top_logprobs: Maybe(Type.Integer({ minimum: 0, maximum: 20 })),
  energy: EnergyField,
  ...openaiSampling,
})
type Body = Static<typeof Body>

/** Tools may be declared: the model then answers in plain text, which a client that leaves the choice open expects. */
const refusals = [
  { param: 'n', detail: 'More than one choice (n)', asks: (value: unknown) => value !== 1 },
  { param: 'audio', detail: 'Audio output', asks: () => true },
  {
    param: 'modalities',
    detail: 'Output other than text',
    asks: (value: unknown) => !Array.isArray(value) || value.some((kind) => kind !== 'text'),
  },
  {
    param: 'response_format',
    detail: 'Output bound to JSON or a schema (response_format)',
    asks: (value: unknown) => (value as { type?: unknown }).type !== 'text',
  },
  {
    param: 'tool_choice',
    detail: 'A forced tool call (tool_choice)',
    asks: (value: unknown) => value !== 'auto' && value !== 'none',
  },
  {
    param: 'function_call',
    detail: 'A forced function call (function_call)',
    asks: (value: unknown) => value !== 'auto' && value !== 'none',
  },
]

export function openaiChat(scope: Scope): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post('/v1/chat/completions', { schema: { body: Body } }, async (request, reply) => {
      const { body } = request
      refuse(body, refusals)
      checkModel(body.model, scope.deps.model)
      const job = toRequest(request, body, scope)
      if (!body.stream) return whole(scope, job, body, reply)
      return streamAnswer(scope, job, request, reply, dialect(scope, job, body))
    })
  }
}

function toRequest(request: FastifyRequest, body: Body, { deps }: Scope): GenerateRequest {
  if (typeof body.top_logprobs === 'number' && !body.logprobs) {
    throw new DeapdError('bad_request', { detail: 'top_logprobs needs logprobs: true', param: 'top_logprobs' })
  }
  return {
    id: `chatcmpl-${randomUUID()}`,
    client: clientKey(request),
    input: { messages: toConversation(body.messages) },
    sampling: fromOpenai(body, body.logprobs ? (body.top_logprobs ?? 0) : null),
    ...energyWish(body.energy, deps.model),
  }
}

async function whole(scope: Scope, job: GenerateRequest, body: Body, reply: FastifyReply): Promise<object> {
  const { text, tokens, done } = await collect(scope.deps, job, scope.connections.track(reply.raw))
  return {
    ...head(scope, job, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null },
        finish_reason: done.finishReason,
        logprobs: body.logprobs ? chatLogprobs(tokens) : null,
      },
    ],
    usage: usageOf(done),
  }
}

function dialect(scope: Scope, job: GenerateRequest, body: Body): Dialect {
  const withUsage = body.stream_options?.include_usage === true
  const opening = head(scope, job, 'chat.completion.chunk')
  const chunk = (delta: object, finish: string | null, logprobs: object | null = null) =>
    sse({
      ...opening,
      choices: [{ index: 0, delta, finish_reason: finish, logprobs }],
      ...(withUsage && { usage: null }),
    })
  const write = (event: Answer): string => {
    if (event.type === 'token') {
      if (event.text === '' && !body.logprobs) return ''
      return chunk({ content: event.text }, null, body.logprobs ? chatLogprobs([event]) : null)
    }
    if (event.type !== 'done') return ''
    const usage = withUsage ? sse({ ...opening, choices: [], usage: usageOf(event) }) : ''
    return `${chunk({}, event.finishReason)}${usage}data: [DONE]\n\n`
  }
  return { framing: sseFraming, opening: chunk({ role: 'assistant', content: '' }, null), write }
}

function head({ deps }: Scope, job: GenerateRequest, object: string): object {
  return {
    id: job.id,
    object,
    created: Math.floor(Date.now() / 1000),
    model: deps.model.id,
    system_fingerprint: `deapd-${deps.version}-${deps.model.digest.slice(0, 8)}`,
  }
}
