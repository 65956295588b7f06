import type { FastifyReply, FastifyRequest } from 'fastify'
import type { GenerateRequest } from '../engine/protocol.ts'
import { answer, begin } from './answers.ts'
import { ClientGone } from './connections.ts'
import { type Fault, faultOf, ollamaBody, openaiBody } from './faults.ts'
import { ndjson, openOutlet, sse } from './outlet.ts'
import type { Answer } from './ports.ts'
import type { Scope } from './scope.ts'

/** How one wire writes a streamed answer. */
export interface Dialect {
  readonly framing: Framing
  /** Sent with the headers, before the prompt is processed, so that the client sees at once that it was accepted. */
  readonly opening: string
  /** What an event looks like on this wire; empty for nothing. */
  readonly write: (event: Answer) => string
}

interface Framing {
  readonly contentType: string
  /** Line that keeps a quiet connection open; NDJSON has no room for one. */
  readonly ping: string | null
  readonly fault: (fault: Fault, thrown: unknown) => string
}

export const sseFraming: Framing = {
  contentType: 'text/event-stream; charset=utf-8',
  ping: ': ping\n\n',
  fault: (fault) => sse(openaiBody(fault)),
}

export const ndjsonFraming: Framing = {
  contentType: 'application/x-ndjson',
  ping: null,
  fault: (fault, thrown) => ndjson(ollamaBody(fault, thrown)),
}

/**
 * Streams one answer. A refusal before the first event is thrown and becomes a status; a fault after it is written in the
 * stream, which then ends without the wire's closing mark, so that no client takes half an answer for a whole one.
 */
export async function streamAnswer(
  scope: Scope,
  job: GenerateRequest,
  request: FastifyRequest,
  reply: FastifyReply,
  dialect: Dialect,
): Promise<FastifyReply> {
  const { deps, connections, timing } = scope
  const { contentType, ping, fault } = dialect.framing
  const signal = connections.track(reply.raw)
  const events = await begin(answer(deps, job, signal), timing.patienceMs)
  const outlet = openOutlet(reply, {
    contentType,
    signal,
    ping: ping === null ? null : { text: ping, everyMs: timing.pingMs },
  })
  try {
    await outlet.send(dialect.opening)
    for await (const event of events) await outlet.send(dialect.write(event))
  } catch (thrown) {
    if (!(thrown instanceof ClientGone)) {
      request.log.warn({ err: thrown, answer: job.id }, 'answer broken off')
      await outlet.send(fault(faultOf(thrown, deps.settings.bodyLimitBytes), thrown))
    }
  }
  outlet.end()
  return reply
}
