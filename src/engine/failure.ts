import { DeapdError, detailOf } from '../errors.ts'
import type { FromEngine } from './protocol.ts'

/** An error as a message: from the table when it is ours, `engine_failed` otherwise. */
export function failure(id: string | null, error: unknown): FromEngine {
  if (error instanceof DeapdError) return { type: 'failed', id, code: error.code, params: error.params }
  return { type: 'failed', id, code: 'engine_failed', params: { detail: detailOf(error) } }
}
