import type { Model } from '../model.ts'
import { type FromEngine, monotonicMs, type ShadowEvent } from '../protocol.ts'
import { argmax } from '../select.ts'
import type { BoardClock } from './pace.ts'
import { type Job, roundingLogits } from './runs.ts'
import { append, forget, type Slot } from './slots.ts'

/** One balanced answer in so many is read again by the full network. */
const oneIn = 64
/** Tokens read at once: an answer that arrives meanwhile waits no longer than for a short piece of a prompt. */
const piece = 16

/** A piece of a shadow run, as it was run. */
export interface ShadowPiece {
  readonly id: string
  readonly tokens: number
  readonly contextTokens: number
  /** What the whole run found; null while there is more to read. */
  readonly found: ShadowEvent | null
}

/**
 * Shadow runs: what the drift monitor lives on. The full network reads a routed answer after it was given; where it prefers the
 * same token everywhere, it would have given the same answer (by induction over its tokens). That costs one short prompt, takes
 * no time from anyone who waits, and leaves the cache as the full network would have written it.
 */
export interface Shadows {
  /** A routed answer has ended; `tokenId` is what was decided last. */
  ended(job: Job, tokenId: number): ShadowEvent | null
  /** Reads the next piece of the answer that was drawn; null when there is none, or its cache was taken. */
  next(): ShadowPiece | null
}

interface Pending {
  readonly slot: Slot
  readonly usedAt: number
  readonly id: string
  readonly promptTokens: number
  /** Tokens to read, what was decided after each, and at which level. */
  readonly ids: readonly number[]
  readonly decided: readonly number[]
  readonly levels: readonly number[]
  read: number
  differs: boolean
  tokens: number
  disagreements: number
}

/** `random` draws the answers, uniformly from [0, 1). */
export function createShadows(model: Model, random: () => number): Shadows {
  const full = model.levels - 1
  let pending: Pending | null = null

  const found = ({ id, differs, tokens, disagreements }: Pending): ShadowEvent => ({
    id,
    differs,
    tokens,
    disagreements,
  })

  return {
    ended({ generation, slot }, tokenId) {
      // One at a time: while one waits for a quiet moment, no other is drawn.
      if (generation.router === null || generation.request.policy !== 'balanced' || pending !== null) return null
      if (random() * oneIn >= 1) return null
      const { answer, decidedAt, promptIds, request } = generation
      const ended = model.manifest.eos_token_ids.includes(tokenId)
      const ids = ended ? answer : answer.slice(0, -1)
      const decided = ended ? [...answer.slice(1), tokenId] : answer.slice(1)
      const levels = decidedAt.slice(1)
      const drawn = {
        slot,
        usedAt: slot.usedAt,
        id: request.id,
        promptTokens: promptIds.length,
        ids: [...ids],
        decided,
        levels,
      }
      const fresh: Pending = { ...drawn, read: 0, differs: false, tokens: 0, disagreements: 0 }
      // What the full network decided itself needs no second reading.
      if (levels.every((level) => level >= full)) return found(fresh)
      pending = fresh
      return null
    },
    next() {
      const now = pending
      if (now === null) return null
      const { slot, id, promptTokens } = now
      if (slot.busy || slot.usedAt !== now.usedAt) {
        pending = null
        return null
      }
      if (now.read === 0) forget(slot, promptTokens)
      const contextTokens = slot.ids.length
      const ids = now.ids.slice(now.read, now.read + piece)
      const logits = slot.sequence.run(ids, full, 0)
      append(slot, ids, full)
      const vocabulary = model.manifest.shape.vocab_size
      for (const i of ids.keys()) {
        const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary)
        const differs = row[argmax(row)] - row[now.decided[now.read + i]] > roundingLogits
        now.differs ||= differs
        if (now.levels[now.read + i] >= full) continue
        now.tokens++
        if (differs) now.disagreements++
      }
      now.read += ids.length
      const whole = now.read >= now.ids.length
      if (whole) pending = null
      return { id, tokens: ids.length, contextTokens, found: whole ? found(now) : null }
    },
  }
}

/** Uses a quiet moment for the next piece and announces it like any run; false when there is nothing to read. */
export function runShadow(
  shadows: Shadows,
  clock: BoardClock,
  { full, duty }: { readonly full: number; readonly duty: number },
  send: (message: FromEngine) => void,
): boolean {
  const fromMs = monotonicMs()
  const read = shadows.next()
  if (read === null) return false
  const { id, tokens, contextTokens, found } = read
  const run = { phase: 'prefill' as const, level: full, parts: [{ tokens, contextTokens }] }
  const { startedAtMs, seconds } = clock.book(run, fromMs, duty)
  // The answer has its bill already: what is read again is booked as work after it.
  const parts = [{ requestId: id, tokens, contextTokens, emitted: 0 }]
  send({ type: 'step', phase: 'prefill', level: full, startedAtMs, seconds, parts })
  if (found) send({ type: 'shadow', ...found })
  return true
}
