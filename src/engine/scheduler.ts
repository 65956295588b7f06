import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { DeapdError, detailOf } from '../errors.ts'
import { createGeneration, type Generation, type Loaded, type StepResult } from './generation.ts'
import type { Sequence } from './model.ts'
import {
  type FinishReason,
  type FromEngine,
  type GenerateRequest,
  monotonicMs,
  type Order,
  type Pace,
} from './protocol.ts'

export interface SchedulerOptions {
  /** Answers made at the same time; each has its own cache. */
  readonly maxSequences: number
  /** Requests that may wait. */
  readonly maxQueued: number
  readonly send: (message: FromEngine) => void
}

export interface Scheduler {
  submit(request: GenerateRequest): void
  /** Ends a request wherever it is: waiting, in prefill, or decoding. Unknown ids are ignored. */
  cancel(id: string): void
  setOrder(order: Order): void
  setPace(pace: Pace | null): void
}

interface Active {
  readonly generation: Generation
  readonly sequence: Sequence
  readonly startedAtMs: number
  readonly queueSeconds: number
  prefillSeconds: number
  decodeSeconds: number
}

interface Waiting {
  readonly generation: Generation
  readonly sinceMs: number
}

/**
 * Serves requests in order of arrival, up to `maxSequences` at a time in turns of one step each. Between two steps it
 * yields, so that a cancel or a change of level is seen within one token or one chunk of a prompt.
 */
export function createScheduler(loaded: Loaded, options: SchedulerOptions): Scheduler {
  const { send } = options
  const waiting: Waiting[] = []
  const active: Active[] = []
  const spare: Sequence[] = []
  const full = loaded.model.levels - 1
  let order: Order = { capLevel: full, ecoLevel: full, duty: 1 }
  let pace: Pace | null = null
  let running = false
  /** When the simulated board is done with all steps given to it so far. */
  let boardFreeAtMs = 0

  /** A cache that does not fit into memory is the end of this request, not of the others. */
  const newSequence = (id: string): Sequence | undefined => {
    try {
      return loaded.model.newSequence()
    } catch (error) {
      send(failure(id, error))
      return undefined
    }
  }

  const admit = (): void => {
    while (active.length < Math.min(options.maxSequences, order.concurrency ?? options.maxSequences)) {
      const next = waiting.shift()
      if (!next) return
      const sequence = spare.pop() ?? newSequence(next.generation.request.id)
      if (!sequence) continue
      sequence.truncate(0)
      next.generation.start(sequence)
      const now = monotonicMs()
      active.push({
        generation: next.generation,
        sequence,
        startedAtMs: now,
        queueSeconds: (now - next.sinceMs) / 1000,
        prefillSeconds: 0,
        decodeSeconds: 0,
      })
      send({ type: 'started', id: next.generation.request.id, promptTokens: next.generation.promptIds.length })
    }
  }

  const finish = (job: Active, reason: FinishReason): void => {
    active.splice(active.indexOf(job), 1)
    spare.push(job.sequence)
    const { queueSeconds, prefillSeconds, decodeSeconds } = job
    send({ type: 'done', ...job.generation.summary(reason), queueSeconds, prefillSeconds, decodeSeconds })
  }

  /** Announces a step as soon as it is computed and then waits until the simulated board would be done with it. */
  const account = async (job: Active, step: StepResult, computedFromMs: number): Promise<void> => {
    const now = monotonicMs()
    const computed = (now - computedFromMs) / 1000
    const seconds = pace ? Math.max(computed, paceSeconds(pace, step)) : computed
    // A timer that fires late must not slow the board down: the next step begins where the last one ended.
    const startedAtMs =
      pace && computedFromMs - boardFreeAtMs < 20 ? Math.max(boardFreeAtMs, computedFromMs - 20) : computedFromMs
    boardFreeAtMs = startedAtMs + seconds * 1000
    const { phase, level, tokens, contextTokens } = step
    send({
      type: 'step',
      phase,
      level,
      startedAtMs,
      seconds,
      parts: [{ requestId: job.generation.request.id, tokens, contextTokens, emitted: step.token ? 1 : 0 }],
    })
    if (phase === 'prefill') job.prefillSeconds += seconds
    else job.decodeSeconds += seconds
    // Below the lowest clock only pauses save watts; they count as time the board is taken.
    boardFreeAtMs += seconds * 1000 * (1 / order.duty - 1)
    const wait = boardFreeAtMs - now
    if (wait >= 1) await sleep(wait)
    else await nextTurn()
  }

  const runOne = async (job: Active): Promise<void> => {
    const from = monotonicMs()
    const step = job.generation.step(order)
    await account(job, step, from)
    // Cancelled while the board was still busy with it: the slot is already free.
    if (!active.includes(job)) return
    if (step.token) send({ type: 'token', ...step.token })
    if (step.finished) finish(job, step.finished)
  }

  const run = async (): Promise<void> => {
    running = true
    for (admit(); active.length > 0; admit()) {
      for (const job of [...active]) {
        if (!active.includes(job)) continue
        try {
          await runOne(job)
        } catch (error) {
          if (active.includes(job)) active.splice(active.indexOf(job), 1)
          job.sequence.close()
          send(failure(job.generation.request.id, error))
        }
      }
    }
    running = false
  }

  return {
    submit(request) {
      try {
        if (waiting.length >= options.maxQueued) throw new DeapdError('queue_full', { waiting: waiting.length })
        const generation = createGeneration(loaded, request)
        waiting.push({ generation, sinceMs: monotonicMs() })
        send({ type: 'queued', id: request.id, waiting: waiting.length })
        if (!running) void run()
      } catch (error) {
        send(failure(request.id, error))
      }
    },
    cancel(id) {
      const at = waiting.findIndex(({ generation }) => generation.request.id === id)
      if (at >= 0) {
        const [{ generation, sinceMs }] = waiting.splice(at, 1)
        const queueSeconds = (monotonicMs() - sinceMs) / 1000
        send({ type: 'done', ...generation.summary('cancelled'), queueSeconds, prefillSeconds: 0, decodeSeconds: 0 })
      }
      const job = active.find(({ generation }) => generation.request.id === id)
      if (job) finish(job, 'cancelled')
    },
    setOrder: (next) => {
      order = next
    },
    setPace: (next) => {
      pace = next
    },
  }
}

function paceSeconds(pace: Pace, { phase, level, tokens, contextTokens }: StepResult): number {
  const once = (pace.decodeSeconds[level] ?? 0) + contextTokens * pace.decodeSecondsPerContextToken
  // However short, a piece of prompt reads all weights once.
  return phase === 'prefill' ? Math.max(once, tokens * pace.prefillSecondsPerToken) : once
}

/** An error as a message: from the table when it is ours, `engine_failed` otherwise. */
export function failure(id: string | null, error: unknown): FromEngine {
  if (error instanceof DeapdError) return { type: 'failed', id, code: error.code, params: error.params }
  return { type: 'failed', id, code: 'engine_failed', params: { detail: detailOf(error) } }
}
