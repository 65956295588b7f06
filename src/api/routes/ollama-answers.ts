import { randomUUID } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { GenerateRequest } from '../../engine/protocol.ts'
import { collect } from '../answers.ts'
import { isFilled, Maybe, refuse } from '../body.ts'
import { clientKey } from '../client-key.ts'
import { energyWish } from '../energy.ts'
import { toConversation, WireMessage } from '../messages.ts'
import { checkModel } from '../model-name.ts'
import { closingLine, idleReason, ollamaFields, ollamaRefusals } from '../ollama.ts'
import { ndjson } from '../outlet.ts'
import { fromOllama } from '../sampling.ts'
import type { Scope } from '../scope.ts'
import { ndjsonFraming, streamAnswer } from '../stream.ts'

const Fields = Type.Object(ollamaFields)
type Fields = Static<typeof Fields>

const ChatBody = Type.Object({ ...ollamaFields, messages: Maybe(Type.Array(WireMessage)) })

const GenerateBody = Type.Object({
  ...ollamaFields,
  prompt: Maybe(Type.String()),
  system: Maybe(Type.String()),
  raw: Maybe(Type.Boolean()),
})

const generateRefusals = [
  ...ollamaRefusals,
  { param: 'suffix', detail: 'Filling in before a suffix', asks: isFilled },
  { param: 'images', detail: 'An image', asks: isFilled },
  { param: 'template', detail: 'A template of the caller', asks: isFilled },
  { param: 'context', detail: 'Going on from token ids (context)', asks: isFilled },
]

/** Where a route's text stands in its lines. */
type Shape = (text: string) => object
const asMessage: Shape = (content) => ({ message: { role: 'assistant', content } })
const asResponse: Shape = (response) => ({ response })

export function ollamaAnswers(scope: Scope): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post('/api/chat', { schema: { body: ChatBody } }, async (request, reply) => {
      const { body } = request
      refuse(body, ollamaRefusals)
      checkModel(body.model, scope.deps.model)
      if (!body.messages?.length) return idle(body, asMessage, reply)
      return run(scope, { messages: toConversation(body.messages) }, asMessage, request, reply)
    })

    app.post('/api/generate', { schema: { body: GenerateBody } }, async (request, reply) => {
      const { body } = request
      refuse(body, generateRefusals)
      checkModel(body.model, scope.deps.model)
      if (!body.prompt) return idle(body, asResponse, reply)
      return run(scope, toInput(body), asResponse, request, reply)
    })
  }
}

function toInput({ prompt, system, raw }: Static<typeof GenerateBody>): GenerateRequest['input'] {
  if (raw) return { prompt: prompt ?? '' }
  const asked = { role: 'user', content: prompt ?? '' } as const
  return { messages: system ? [{ role: 'system', content: system }, asked] : [asked] }
}

async function run(
  scope: Scope,
  input: GenerateRequest['input'],
  shape: Shape,
  request: FastifyRequest<{ Body: Fields }>,
  reply: FastifyReply,
): Promise<object> {
  const startedAtNs = process.hrtime.bigint()
  const { body } = request
  const job: GenerateRequest = {
    id: `ollama-${randomUUID()}`,
    client: clientKey(request),
    input,
    sampling: fromOllama(body.options),
    ...energyWish(body.energy, scope.deps.model),
  }
  const line = (text: string, rest: object) => ({ ...opening(body), ...shape(text), ...rest })
  if (body.stream === false) {
    const { text, done } = await collect(scope.deps, job, scope.connections.track(reply.raw))
    return line(text, closingLine(done, startedAtNs))
  }
  return streamAnswer(scope, job, request, reply, {
    framing: ndjsonFraming,
    opening: '',
    write: (event) => {
      if (event.type === 'token') return event.text === '' ? '' : ndjson(line(event.text, { done: false }))
      return event.type === 'done' ? ndjson(line('', closingLine(event, startedAtNs))) : ''
    },
  })
}

function idle(body: Fields, shape: Shape, reply: FastifyReply): object {
  const answer = { ...opening(body), ...shape(''), done: true, done_reason: idleReason(body.keep_alive) }
  return body.stream === false ? answer : reply.type('application/x-ndjson').send(ndjson(answer))
}

const opening = (body: Fields): object => ({ model: body.model, created_at: new Date().toISOString() })
