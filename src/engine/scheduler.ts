import { setImmediate as nextTurn } from 'node:timers/promises'
import { DeapdError } from '../errors.ts'
import { createDrafter } from './drafts/drafter.ts'
import { failure } from './failure.ts'
import { createGeneration, type Generation, type Loaded } from './generation.ts'
import { chooseLevel } from './levels.ts'
import {
  type DraftMode,
  defaultPrefillChunk,
  type FinishReason,
  type FromEngine,
  type GenerateRequest,
  monotonicMs,
  type Order,
  type Pace,
} from './protocol.ts'
import { admitContext } from './scheduling/memory.ts'
import { createBoardClock } from './scheduling/pace.ts'
import { type Plan, plan } from './scheduling/plan.ts'
import { createFairQueue } from './scheduling/queue.ts'
import { announced, type Job, type Part, pending, runAlone, runPrompt, runTogether } from './scheduling/runs.ts'
import { createShadows, runShadow } from './scheduling/shadow.ts'
import { assign, forget, occupy, type Slot } from './scheduling/slots.ts'

export interface SchedulerOptions {
  /** Answers made at the same time; each has its own cache. */
  readonly maxSequences: number
  /** Requests that may wait. */
  readonly maxQueued: number
  readonly drafts: DraftMode
  /** Throws when the memory that caches are about to grow by is not there. */
  readonly requireRoom: (what: string, bytes: number) => void
  readonly send: (message: FromEngine) => void
  /** Draws the answers that the full network reads again; uniform from [0, 1). */
  readonly random?: () => number
}

export interface Scheduler {
  submit(request: GenerateRequest): void
  /** Ends a request wherever it is: waiting, in prefill, or decoding. Unknown ids are ignored. */
  cancel(id: string): void
  setOrder(order: Order): void
  setPace(pace: Pace | null): void
}

interface Active extends Job {
  readonly arrival: number
  readonly queueSeconds: number
  readonly cachedTokens: number
  lastRun: number
  prefillSeconds: number
  decodeSeconds: number
}

interface Waiting {
  readonly client: string | undefined
  readonly generation: Generation
  readonly sinceMs: number
}

/**
 * Answers up to `maxSequences` requests at once and queues the others. One run of the graph at a time: `plan` says which,
 * `runs` does it, the board clock waits for it; between two runs messages come in, so that a cancel or a change of level is
 * seen within one token or one piece of a prompt.
 */
export function createScheduler(loaded: Loaded, options: SchedulerOptions): Scheduler {
  const { model } = loaded
  const { send } = options
  const full = model.levels - 1
  const waiting = createFairQueue<Waiting>(options.maxQueued)
  const active: Active[] = []
  const slots: Slot[] = []
  const clock = createBoardClock()
  const shadows = createShadows(model, options.random ?? Math.random)
  const drafter = createDrafter(options.drafts, model.manifest.shape.vocab_size)
  let order: Order = { capLevel: full, ecoLevel: full, duty: 1 }
  let running = false
  let runs = 0
  let lastPrefill = 0
  let arrivals = 0

  const done = (
    generation: Generation,
    reason: FinishReason,
    times: Pick<Active, 'queueSeconds' | 'cachedTokens' | 'prefillSeconds' | 'decodeSeconds'>,
  ): void => {
    const { queueSeconds, cachedTokens, prefillSeconds, decodeSeconds } = times
    send({ type: 'done', ...generation.summary(reason), cachedTokens, queueSeconds, prefillSeconds, decodeSeconds })
  }

  const leave = (job: Active): void => {
    active.splice(active.indexOf(job), 1)
    job.slot.busy = false
  }

  const admit = (): void => {
    const places = Math.min(options.maxSequences, order.concurrency ?? options.maxSequences)
    while (active.length < places) {
      const next = waiting.shift()
      if (!next) return
      start(next)
    }
  }

  const start = ({ generation, sinceMs }: Waiting): void => {
    const { request, promptIds } = generation
    try {
      // Slots come into being as they are needed, and stay: what was said in them may be said again.
      if (slots.every(({ busy }) => busy)) {
        slots.push({ sequence: model.newSequence(), ids: [], levels: [], written: 0, busy: false, usedAt: 0 })
      }
      const assignment = assign(slots, promptIds, generation.lowestLevel, model.copiesCache)
      if (!assignment) throw new Error('no free slot')
      admitContext(model, active, { generation, slot: assignment.slot }, options.requireRoom)
      occupy(assignment, ++arrivals)
      active.push({
        generation,
        slot: assignment.slot,
        proposer: drafter.proposer(promptIds),
        arrival: arrivals,
        queueSeconds: (monotonicMs() - sinceMs) / 1000,
        cachedTokens: assignment.tokens,
        lastRun: runs,
        prefillSeconds: 0,
        decodeSeconds: 0,
      })
      send({ type: 'started', id: request.id, promptTokens: promptIds.length })
    } catch (error) {
      // A cache that does not fit into memory is the end of this request, not of the others.
      send(failure(request.id, error))
    }
  }

  /** What `plan` needs to know; levels are looked up anew before every run. */
  const candidates = () =>
    active.map((job) => {
      const { request, promptIds } = job.generation
      const phase = job.slot.ids.length < promptIds.length ? ('prefill' as const) : ('decode' as const)
      const { level, degraded } = chooseLevel(request, full, order, job.generation.router?.level() ?? null)
      const { lastRun, arrival } = job
      const alone = phase === 'decode' && pending(job).length > 1
      return { job, phase, level, degraded, pinned: request.level !== null, alone, lastRun, arrival }
    })
  type Next = Plan<ReturnType<typeof candidates>[number]>

  const execute = (next: Next): { level: number; parts: readonly Part<Active>[] } => {
    if (next.phase === 'prefill') {
      lastPrefill = runs
      return { level: full, parts: [runPrompt(next.job.job, full, order.prefillChunk ?? defaultPrefillChunk)] }
    }
    const { level, jobs } = next
    const at = { level, highest: order.capLevel }
    if (jobs.length === 1) {
      const [{ job, degraded }] = jobs
      return { level, parts: [runAlone(model, drafter, job, at, degraded)] }
    }
    const degraded = new Set(jobs.filter((one) => one.degraded).map(({ job }) => job))
    const together = jobs.map(({ job }) => job)
    return { level, parts: runTogether(model, together, at, (job) => degraded.has(job)) }
  }

  const step = async (next: Next): Promise<void> => {
    runs++
    const fromMs = monotonicMs()
    const { level, parts } = execute(next)
    const { phase } = next
    const { startedAtMs, seconds } = clock.book({ phase, level, parts }, fromMs, order.duty)
    if (phase === 'decode' && parts.length === 1 && parts[0].decisions.length > 0)
      drafter.cost(level, parts[0].tokens, seconds)
    // Announced as soon as it is computed: the simulated board draws its power while we wait for it.
    send({ type: 'step', phase, level, startedAtMs, seconds, parts: parts.map(announced) })
    const busy = clock.busy()
    if (busy) await busy
    for (const { job, decisions } of parts) {
      job.lastRun = runs
      if (phase === 'prefill') job.prefillSeconds += seconds
      else job.decodeSeconds += seconds
      // Cancelled while the board was still busy with it: the slot is already free.
      if (!active.includes(job)) continue
      for (const { token } of decisions) if (token) send({ type: 'token', ...token })
      const asked = job.slot.ids.length >= job.generation.promptIds.length
      const finished = decisions.at(-1)?.finished ?? (asked && job.generation.limit === 0 ? 'length' : null)
      if (!finished) continue
      leave(job)
      done(job.generation, finished, job)
      const known = decisions.length > 0 ? shadows.ended(job, decisions[decisions.length - 1].tokenId) : null
      if (known) send({ type: 'shadow', ...known })
    }
  }

  const run = async (): Promise<void> => {
    running = true
    for (;;) {
      // Cancels, orders and requests that have come in meanwhile.
      await nextTurn()
      admit()
      const next = plan(candidates(), lastPrefill)
      if (!next && order.shadows !== false && runShadow(shadows, clock, { full, duty: order.duty }, send)) continue
      if (!next) break
      try {
        await step(next)
      } catch (error) {
        const hurt = next.phase === 'prefill' ? [next.job.job] : next.jobs.map(({ job }) => job)
        for (const job of hurt.filter((one) => active.includes(one))) {
          leave(job)
          forget(job.slot, 0)
          send(failure(job.generation.request.id, error))
        }
      }
    }
    running = false
  }

  return {
    submit(request) {
      try {
        const generation = createGeneration(loaded, request)
        waiting.push({ client: request.client, generation, sinceMs: monotonicMs() })
        admit()
        const refused = waiting.overflow()
        if (refused) {
          const error = new DeapdError('queue_full', { waiting: waiting.length })
          send(failure(refused.generation.request.id, error))
        }
        if (!running) void run()
      } catch (error) {
        send(failure(request.id, error))
      }
    },
    cancel(id) {
      const gone = waiting.remove(({ generation }) => generation.request.id === id)
      if (gone) {
        const queueSeconds = (monotonicMs() - gone.sinceMs) / 1000
        done(gone.generation, 'cancelled', { queueSeconds, cachedTokens: 0, prefillSeconds: 0, decodeSeconds: 0 })
      }
      const job = active.find(({ generation }) => generation.request.id === id)
      if (!job) return
      leave(job)
      done(job.generation, 'cancelled', job)
    },
    setOrder: (next) => {
      order = next
    },
    setPace: clock.setPace,
  }
}
