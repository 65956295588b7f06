import type { Sequence } from '../model.ts'

/** A cache and what stands in it: the tokens, and the level each of them was run at. */
export interface Slot {
  readonly sequence: Sequence
  readonly ids: number[]
  readonly levels: number[]
  /** Most tokens that ever stood in it: so far its pages are in memory. */
  written: number
  /** Taken by an answer under way. */
  busy: boolean
  /** Number of its last use; smaller is longer ago. */
  usedAt: number
}

/** Where an answer goes and what it need not run again. */
export interface Assignment {
  readonly slot: Slot
  /** A slot whose beginning is copied over first, or null when the slot's own beginning serves. */
  readonly source: Slot | null
  /** Tokens of the prompt that are in the cache already. */
  readonly tokens: number
}

/**
 * Tokens of the prompt that stand at the beginning of a slot and were run at `lowestLevel` or above: a row written by a
 * smaller sub-network, or after one, would not be what the request's policy asked for. The last token is always run again:
 * its logits decide the first token of the answer.
 */
export function reusable(slot: Pick<Slot, 'ids' | 'levels'>, prompt: readonly number[], lowestLevel: number): number {
  const most = Math.min(slot.ids.length, prompt.length - 1)
  let count = 0
  while (count < most && slot.ids[count] === prompt[count] && slot.levels[count] >= lowestLevel) count++
  return count
}

/** Fewer tokens than these are sooner run again than copied. */
const worthCopying = 8

/**
 * The free slot to use. A conversation that goes on takes its own slot; a new one that shares a beginning (the system
 * prompt) with another gets a copy, and the slot that gives way is the one used longest ago. Null when none is free.
 */
export function assign(
  slots: readonly Slot[],
  prompt: readonly number[],
  lowestLevel: number,
  mayCopy: boolean,
): Assignment | null {
  const free = slots.filter((slot) => !slot.busy)
  if (free.length === 0) return null
  const shared = (slot: Slot): number => reusable(slot, prompt, lowestLevel)
  const best = (among: readonly Slot[]): Slot => among.reduce((a, b) => (shared(b) > shared(a) ? b : a))
  const own = best(free)
  const goesOn = shared(own) > 0 && own.ids.length - shared(own) <= shared(own) / 4
  const slot =
    goesOn || (!mayCopy && shared(own) >= worthCopying) ? own : free.reduce((a, b) => (b.usedAt < a.usedAt ? b : a))
  const source = best(slots)
  if (!mayCopy || shared(source) < shared(slot) + worthCopying) return { slot, source: null, tokens: shared(slot) }
  return { slot, source, tokens: shared(source) }
}

/** Makes the assigned slot begin with the tokens that need not be run, and nothing else. */
export function occupy({ slot, source, tokens }: Assignment, usedAt: number): void {
  if (source) {
    slot.sequence.copyFrom(source.sequence, tokens)
    slot.ids.splice(0, slot.ids.length, ...source.ids.slice(0, tokens))
    slot.levels.splice(0, slot.levels.length, ...source.levels.slice(0, tokens))
    slot.written = Math.max(slot.written, tokens)
  } else {
    forget(slot, tokens)
  }
  slot.busy = true
  slot.usedAt = usedAt
}

/** Notes what a run has appended. */
export function append(slot: Slot, ids: readonly number[], level: number): void {
  slot.ids.push(...ids)
  slot.levels.push(...ids.map(() => level))
  slot.written = Math.max(slot.written, slot.ids.length)
}

/** Forgets everything from `length` on. */
export function forget(slot: Slot, length: number): void {
  slot.sequence.truncate(length)
  slot.ids.length = Math.min(slot.ids.length, length)
  slot.levels.length = slot.ids.length
}
