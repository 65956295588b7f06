import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type, { type Static } from 'typebox'
import type { GenerateRequest } from '../../engine/protocol.ts'
import { DeapdError } from '../../errors.ts'
import { collect } from '../answers.ts'
import { isFilled, Maybe, refuse } from '../body.ts'
import { clientKey } from '../client-key.ts'
import { EnergyField, energyWish, usageOf } from '../energy.ts'
import { completionLogprobs } from '../logprobs.ts'
import { checkModel } from '../model-name.ts'
import { sse } from '../outlet.ts'
import type { Answer } from '../ports.ts'
import { fromOpenai, openaiSampling } from '../sampling.ts'
import type { Scope } from '../scope.ts'
import { type Dialect, sseFraming, streamAnswer } from '../stream.ts'

/** OpenAI's own default for this route; a raw prompt has no natural end. */
const defaultMaxTokens = 16

const Body = Type.Object({
  model: Maybe(Type.String()),
  prompt: Type.Union([
    Type.String(),
    Type.Array(Type.String(), { minItems: 1 }),
    Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 }),
  ]),
  stream: Maybe(Type.Boolean()),
  stream_options: Maybe(Type.Object({ include_usage: Maybe(Type.Boolean()) })),
  logprobs: Maybe(Type.Integer({ minimum: 0, maximum: 20 })),
  energy: EnergyField,
  ...openaiSampling,
})
type Body = Static<typeof Body>

const refusals = [
  { param: 'n', detail: 'More than one choice (n)', asks: (value: unknown) => value !== 1 },
  { param: 'best_of', detail: 'Choosing the best of several (best_of)', asks: (value: unknown) => value !== 1 },
  { param: 'suffix', detail: 'Filling in before a suffix', asks: isFilled },
  { param: 'echo', detail: 'Echoing the prompt', asks: (value: unknown) => value === true },
  {
    param: 'prompt',
    detail: 'More than one prompt in a request',
    asks: (value: unknown) => Array.isArray(value) && typeof value[0] === 'string' && value.length > 1,
  },
]

export function openaiCompletions(scope: Scope): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post('/v1/completions', { schema: { body: Body } }, async (request, reply) => {
      const { body } = request
      refuse(body, refusals)
      checkModel(body.model, scope.deps.model)
      const job: GenerateRequest = {
        id: `cmpl-${randomUUID()}`,
        client: clientKey(request),
        input: toInput(body.prompt),
        sampling: fromOpenai(
          { ...body, max_tokens: body.max_tokens ?? body.n_predict ?? defaultMaxTokens },
          body.logprobs ?? null,
        ),
        ...energyWish(body.energy, scope.deps.model),
      }
      if (body.stream) return streamAnswer(scope, job, request, reply, dialect(scope, job, body))
      const { text, tokens, done } = await collect(scope.deps, job, scope.connections.track(reply.raw))
      const logprobs = typeof body.logprobs === 'number' ? completionLogprobs(tokens, 0) : null
      return {
        ...head(scope, job),
        choices: [{ text, index: 0, logprobs, finish_reason: done.finishReason }],
        usage: usageOf(done),
      }
    })
  }
}

function toInput(prompt: Body['prompt']): GenerateRequest['input'] {
  if (typeof prompt === 'string') return { prompt }
  const [first] = prompt
  if (typeof first === 'string') return { prompt: first }
  const ids = prompt.filter((id) => typeof id === 'number')
  if (ids.length < prompt.length) throw new DeapdError('bad_request', { detail: 'prompt is mixed', param: 'prompt' })
  return { ids }
}

function dialect(scope: Scope, job: GenerateRequest, body: Body): Dialect {
  const withUsage = body.stream_options?.include_usage === true
  const opening = head(scope, job)
  let offset = 0
  const chunk = (text: string, finish: string | null, logprobs: object | null = null) =>
    sse({
      ...opening,
      choices: [{ text, index: 0, logprobs, finish_reason: finish }],
      ...(withUsage && { usage: null }),
    })
  const write = (event: Answer): string => {
    if (event.type === 'token') {
      const logprobs = typeof body.logprobs === 'number' ? completionLogprobs([event], offset) : null
      offset += event.text.length
      return event.text === '' && logprobs === null ? '' : chunk(event.text, null, logprobs)
    }
    if (event.type !== 'done') return ''
    const usage = withUsage ? sse({ ...opening, choices: [], usage: usageOf(event) }) : ''
    return `${chunk('', event.finishReason)}${usage}data: [DONE]\n\n`
  }
  // This wire has no role chunk; a comment carries the headers out before the prompt is processed.
  return { framing: sseFraming, opening: ': accepted\n\n', write }
}

function head({ deps }: Scope, job: GenerateRequest): object {
  return {
    id: job.id,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: deps.model.id,
    system_fingerprint: `deapd-${deps.version}-${deps.model.digest.slice(0, 8)}`,
  }
}
