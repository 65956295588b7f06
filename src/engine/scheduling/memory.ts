import type { Generation } from '../generation.ts'
import type { Model } from '../model.ts'
import type { Slot } from './slots.ts'

interface Answering {
  readonly generation: Pick<Generation, 'request' | 'promptIds' | 'limit'>
  readonly slot: Pick<Slot, 'written'>
}

/** Tokens expected of an answer whose caller names no most. */
const usualAnswerTokens = 256
/** Growth below this is not worth a look at the kernel's figures. */
const worthAskingBytes = 16e6

/**
 * Pages of a cache cost memory once they are written: what this answer may come to write, and those under way have still to,
 * must be there now. `requireRoom` throws `memory_short` with the numbers when it is not.
 */
export function admitContext(
  { kvBytes, contextTokens }: Pick<Model, 'kvBytes' | 'contextTokens'>,
  active: readonly Answering[],
  next: Answering,
  requireRoom: (what: string, bytes: number) => void,
): void {
  const growing = [...active, next].reduce((sum, one) => sum + Math.max(0, tokensOf(one) - one.slot.written), 0)
  const bytes = (growing * kvBytes) / contextTokens
  if (bytes >= worthAskingBytes) requireRoom(`a context of ${tokensOf(next)} tokens`, bytes)
}

function tokensOf({ generation: { request, promptIds, limit } }: Answering): number {
  return promptIds.length + (request.sampling.maxTokens === null ? Math.min(limit, usualAnswerTokens) : limit)
}
