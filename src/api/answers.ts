import { setTimeout as sleep } from 'node:timers/promises'
import type { GenerateRequest } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import type { Answer, ApiDeps } from './ports.ts'

export type Token = Extract<Answer, { type: 'token' }>
export type Done = Extract<Answer, { type: 'done' }>

/** A whole answer, gathered for a reply that is not streamed. */
export interface Collected {
  readonly text: string
  readonly tokens: readonly Token[]
  readonly done: Done
}

export async function collect(deps: ApiDeps, request: GenerateRequest, signal: AbortSignal): Promise<Collected> {
  const tokens: Token[] = []
  for await (const event of answer(deps, request, signal)) {
    if (event.type === 'token') tokens.push(event)
    if (event.type === 'done') return { text: tokens.map((token) => token.text).join(''), tokens, done: event }
  }
  throw noEnd()
}

const noEnd = () => new DeapdError('engine_lost', { detail: 'the answer has no end' })

/**
 * The engine's events for one request, cut short when the signal aborts even if the engine is stuck. An answer that was
 * cancelled by anyone but the client is an error, never a short success.
 */
export async function* answer(
  deps: ApiDeps,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<Answer, void, undefined> {
  signal.throwIfAborted()
  const events = deps.generate(request, signal)[Symbol.asyncIterator]()
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
  })
  aborted.catch(() => undefined)
  signal.addEventListener('abort', abort, { once: true })
  try {
    for (;;) {
      const next = await Promise.race([events.next(), aborted])
      if (next.done) throw noEnd()
      if (next.value.type === 'done' && next.value.finishReason === 'cancelled') {
        throw signal.reason ?? new DeapdError('shutting_down')
      }
      yield next.value
      if (next.value.type === 'done') return
    }
  } finally {
    signal.removeEventListener('abort', abort)
    // Not awaited: a stuck engine must not hold the connection.
    Promise.resolve(events.return?.()).catch(() => undefined)
  }
}

/**
 * Waits for the first event, so that a refusal can still be a status code, but only so long: after that the headers go
 * out and pings can begin. Gives the same events back.
 */
export async function begin(events: AsyncGenerator<Answer>, patienceMs: number): Promise<AsyncIterable<Answer>> {
  const first = events.next()
  first.catch(() => undefined)
  const timer = new AbortController()
  try {
    await Promise.race([first, sleep(patienceMs, undefined, { signal: timer.signal }).catch(() => undefined)])
  } finally {
    timer.abort()
  }
  return resume(first, events)
}

async function* resume(first: Promise<IteratorResult<Answer>>, rest: AsyncGenerator<Answer>): AsyncGenerator<Answer> {
  const result = await first
  if (result.done) return
  yield result.value
  yield* rest
}
