import { DeapdError, detailOf } from '../errors.ts'
import type { EngineState } from './client.ts'
import type { FromEngine } from './protocol.ts'

/** An error as a message: from the table when it is ours, `engine_failed` otherwise. */
export function failure(id: string | null, error: unknown): FromEngine {
  if (error instanceof DeapdError) return { type: 'failed', id, code: error.code, params: error.params }
  return { type: 'failed', id, code: 'engine_failed', params: { detail: detailOf(error) } }
}

/** What a request is told while the engine cannot take it. */
export function unavailable(state: EngineState, detail: string, failure: DeapdError | undefined): DeapdError {
  if (state === 'stopped') return new DeapdError('shutting_down')
  return failure ?? new DeapdError('engine_starting', { detail })
}

/** Waits between restarts grow, so that a model that always crashes does not spin. */
const restartDelaysMs = [100, 500, 2_000, 10_000]
/** A process that lived this long was healthy: the next crash starts at the shortest wait again. */
const healthyMs = 30_000

/** How long to wait before the process is started again, after so many crashes in a row and a life of `livedMs`. */
export function afterCrash(before: number, livedMs: number): { readonly crashes: number; readonly delayMs: number } {
  const crashes = livedMs > healthyMs ? 0 : before + 1
  return { crashes, delayMs: restartDelaysMs[Math.min(crashes, restartDelaysMs.length) - 1] ?? restartDelaysMs[0] }
}
