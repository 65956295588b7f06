import type { Answer } from '../api/ports.ts'
import type { Engine } from '../engine/client.ts'
import { type GenerateRequest, monotonicMs } from '../engine/protocol.ts'
import type { Accountant } from './accountant.ts'
import type { Workload } from './workload.ts'

/** Counters of what was asked and answered since the start. */
export interface Traffic {
  readonly requestsTotal: number
  readonly tokensTotal: number
  readonly promptTokensTotal: number
  /** Generated tokens per second over the last five. */
  readonly tokensPerSecond: number
}

export interface Inference {
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<Answer>
  traffic(): Traffic
}

const rateSeconds = 5

/** Answers with their energy bill: opens an account, passes the engine's words on, and closes it whatever happens. */
export function createInference(
  engine: Engine,
  accountant: Accountant,
  workload: Pick<Workload, 'started' | 'ended'>,
  onArrival: () => void,
): Inference {
  const recent: number[] = []
  let requestsTotal = 0
  let tokensTotal = 0
  let promptTokensTotal = 0

  const prune = (now: number): void => {
    while (recent.length > 0 && recent[0] < now - rateSeconds * 1000) recent.shift()
  }

  async function* generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<Answer> {
    // The engine is told to stop by the caller's signal or, when the caller set a limit, by the bill.
    const limit = new AbortController()
    const stop = AbortSignal.any([signal, limit.signal])
    let open = true
    let failed = false
    accountant.settle(monotonicMs())
    accountant.openAccount(request.id)
    requestsTotal++
    onArrival()
    try {
      for await (const answer of engine.generate(request, stop)) {
        const now = monotonicMs()
        if (answer.type === 'started') {
          promptTokensTotal += answer.promptTokens
          workload.started(request.id, answer.promptTokens)
        }
        if (answer.type === 'token') {
          tokensTotal++
          recent.push(now)
          prune(now)
          yield answer
          if (request.maxJoules !== null && accountant.joulesOf(request.id) >= request.maxJoules) limit.abort()
          continue
        }
        if (answer.type === 'started') {
          yield answer
          continue
        }
        accountant.settle(now)
        open = false
        const outcome = answer.finishReason === 'cancelled' ? 'cancelled' : 'finished'
        const energy = accountant.closeAccount(request.id, answer.completionTokens, outcome)
        const finishReason = limit.signal.aborted && !signal.aborted ? 'length' : answer.finishReason
        yield { ...answer, finishReason, energy }
      }
    } catch (error) {
      failed = true
      throw error
    } finally {
      workload.ended(request.id)
      // Cancelled and failed work stays booked, under its own name; only the bill has no reader.
      if (open) accountant.closeAccount(request.id, 0, failed ? 'failed' : 'cancelled')
    }
  }

  return {
    generate,
    traffic() {
      prune(monotonicMs())
      return { requestsTotal, tokensTotal, promptTokensTotal, tokensPerSecond: recent.length / rateSeconds }
    },
  }
}
