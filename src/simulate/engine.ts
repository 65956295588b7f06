import { type ModelCost, partShares, type RunShape, runWork, type Work } from '../board/work.ts'
import type { Decision } from '../governor/types.ts'

/** A request of a scenario: when it comes, how long its prompt is and how long its answer will be. */
export interface Request {
  readonly atMs: number
  readonly promptTokens: number
  readonly answerTokens: number
}

export type Order = Pick<Decision, 'capLevel' | 'ecoLevel' | 'duty' | 'concurrency' | 'prefillChunk'>

export type Policy = 'exact' | 'balanced' | 'eco'

/** One run of the engine as the plant sees it. */
export interface Run {
  readonly phase: 'prefill' | 'decode'
  readonly level: number
  readonly work: Work
  readonly tokens: number
  readonly parts: readonly { readonly requestId: string; readonly share: number }[]
}

export interface Answered {
  /** Milliseconds since the token before, or since the request came for a first token. */
  readonly waitedMs: number
  readonly first: boolean
}

interface Active {
  readonly request: Request
  readonly id: string
  promptLeft: number
  contextTokens: number
  answerLeft: number
  lastAtMs: number
}

const maxQueued = 32

/**
 * The engine's scheduler as a queue: requests in order of arrival, prompts in chunks that take turns with one decode step
 * of all who decode, orders obeyed from the next run on. No text is made; every token counts as its bytes and operations.
 */
export function createEngine(options: {
  readonly cost: ModelCost
  readonly policy: Policy
  readonly maxSequences: number
}) {
  const { cost, policy, maxSequences } = options
  const full = cost.weightBytes.length - 1
  const waiting: Request[] = []
  let active: Active[] = []
  let served = 0
  let prefilledLast = false
  let running: { readonly run: Run; readonly jobs: readonly Active[] } | null = null
  const totals = { tokens: 0, promptTokens: 0, requests: 0, finished: 0, refused: 0, asked: 0, degradedTokens: 0 }

  const levelOf = (order: Order): number => Math.min(order.capLevel, policy === 'eco' ? order.ecoLevel : full)

  const admit = (concurrency: number, atMs: number): void => {
    while (waiting.length > 0 && active.length < Math.min(maxSequences, concurrency)) {
      const request = waiting.shift() as Request
      served += 1
      active.push({
        request,
        id: `r${served}`,
        promptLeft: request.promptTokens,
        contextTokens: 0,
        answerLeft: request.answerTokens,
        lastAtMs: Math.min(atMs, request.atMs),
      })
    }
  }

  const shapeOf = (phase: 'prefill' | 'decode', level: number, parts: RunShape['parts']): RunShape => ({
    phase,
    level,
    parts,
  })

  return {
    totals,
    submit(request: Request): void {
      totals.requests += 1
      if (waiting.length >= maxQueued) totals.refused += 1
      else waiting.push(request)
    },
    /** Begins the next run, or says that there is nothing to do. */
    begin(order: Order, atMs: number): Run | null {
      admit(order.concurrency, atMs)
      const prompt = active.find((job) => job.promptLeft > 0)
      const decoding = active.filter((job) => job.promptLeft === 0)
      if (prompt !== undefined && !(prefilledLast && decoding.length > 0)) {
        prefilledLast = true
        const tokens = Math.min(prompt.promptLeft, order.prefillChunk)
        const shape = shapeOf('prefill', full, [{ tokens, contextTokens: prompt.contextTokens }])
        const parts = [{ requestId: prompt.id, share: 1 }]
        running = { run: { phase: 'prefill', level: full, work: runWork(cost, shape), tokens, parts }, jobs: [prompt] }
        return running.run
      }
      prefilledLast = false
      if (decoding.length === 0) return null
      const level = levelOf(order)
      const shape = shapeOf(
        'decode',
        level,
        decoding.map((job) => ({ tokens: 1, contextTokens: job.contextTokens })),
      )
      const shares = partShares(cost, shape)
      const parts = decoding.map((job, i) => ({ requestId: job.id, share: shares[i] }))
      running = {
        run: { phase: 'decode', level, work: runWork(cost, shape), tokens: decoding.length, parts },
        jobs: decoding,
      }
      return running.run
    },
    /** Ends the run that was begun: tokens appear, answers finish. */
    end(atMs: number): { readonly answered: readonly Answered[]; readonly ended: readonly string[] } {
      if (running === null) return { answered: [], ended: [] }
      const { run, jobs } = running
      running = null
      const answered: Answered[] = []
      for (const job of jobs) {
        if (run.phase === 'prefill') {
          job.promptLeft -= run.tokens
          job.contextTokens += run.tokens
          totals.promptTokens += run.tokens
          if (job.promptLeft > 0) continue
        } else job.contextTokens += 1
        // The last chunk of a prompt brings the first token.
        answered.push({ waitedMs: atMs - job.lastAtMs, first: run.phase === 'prefill' })
        job.lastAtMs = atMs
        job.answerLeft -= 1
        totals.tokens += 1
        if (run.level < full && policy !== 'eco') totals.degradedTokens += 1
      }
      const over = active.filter((job) => job.promptLeft === 0 && job.answerLeft <= 0)
      for (const job of over) totals.asked += job.request.answerTokens
      totals.finished += over.length
      active = active.filter((job) => !over.includes(job))
      return { answered, ended: over.map((job) => job.id) }
    },
    /** What the engine says about itself. */
    status() {
      const prompts = active.filter((job) => job.promptLeft > 0)
      const decoding = active.filter((job) => job.promptLeft === 0)
      const promptTokens =
        prompts.reduce((sum, job) => sum + job.promptLeft, 0) +
        waiting.reduce((sum, request) => sum + request.promptTokens, 0)
      const contextTokens = decoding.reduce((sum, job) => sum + job.contextTokens, 0)
      return {
        active: active.length,
        queued: waiting.length,
        prefilling: prompts.length,
        promptTokens,
        decoding: decoding.length,
        contextTokens,
      }
    },
  }
}
export type SimulatedEngine = ReturnType<typeof createEngine>
