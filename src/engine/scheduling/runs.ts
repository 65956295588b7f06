import { type Agreement, agrees, type RunShape } from '../drafts/agreement.ts'
import type { Drafter } from '../drafts/drafter.ts'
import type { Proposer } from '../drafts/propose.ts'
import type { Decision, Generation } from '../generation.ts'
import type { Model } from '../model.ts'
import type { GenerateRequest, StepPart } from '../protocol.ts'
import { mendFrom } from './mend.ts'
import { append, forget, type Slot } from './slots.ts'

/**
 * Where the rows of one run are added up in another order than the row of a run of one token, the logits differ by less than
 * this (1e-5 as a rule; a flipped rounding of an int8 activation is what this is for).
 */
export const roundingLogits = 0.25

/** An answer under way: what is made, where its cache is, and where its drafts come from. */
export interface Job {
  readonly generation: Generation
  readonly slot: Slot
  readonly proposer: Proposer | null
}

/** One answer's part of a run: what went through the graph, and what that decided. */
export interface Part<J extends Job> {
  readonly job: J
  readonly tokens: number
  /** Tokens in the cache before the run. */
  readonly contextTokens: number
  readonly decisions: readonly Decision[]
}

/** A part as the daemon hears of it. */
export const announced = <J extends Job>({ job, tokens, contextTokens, decisions }: Part<J>): StepPart => ({
  requestId: job.generation.request.id,
  tokens,
  contextTokens,
  emitted: decisions.filter(({ token }) => token !== null).length,
})

/** At which level a run decides, and how high anyone may go at present. */
export interface AtLevel {
  readonly level: number
  readonly highest: number
}

/** Runs the next piece of a prompt, at the full level so that its rows serve at any. The last piece decides a token. */
export function runPrompt<J extends Job>(job: J, full: number, chunk: number): Part<J> {
  const { generation, slot } = job
  const contextTokens = slot.ids.length
  const ids = generation.promptIds.slice(contextTokens, contextTokens + chunk)
  const logits = slot.sequence.run(ids, full, ids.length - 1)
  append(slot, ids, full)
  const last = slot.ids.length === generation.promptIds.length
  if (last) generation.router?.begin(logits)
  const decisions = last && generation.limit > 0 ? [decide(job, logits, full, false)] : []
  return { job, tokens: ids.length, contextTokens, decisions }
}

/** Decides one token for each of several answers in one run; none for one whose router wants it from a higher level. */
export function runTogether<J extends Job>(
  model: Model,
  jobs: readonly J[],
  { level, highest }: AtLevel,
  degraded: (job: J) => boolean,
): Part<J>[] {
  const ids = jobs.map(lastToken)
  const rows = model.decodeBatch(
    jobs.map(({ slot }) => slot.sequence),
    ids,
    level,
  )
  return jobs.map((job, i) => {
    const contextTokens = job.slot.ids.length
    if (!accepts(job, rows[i], { level, highest })) {
      unwind(job, contextTokens, highest)
      return { job, tokens: 1, contextTokens, decisions: [] }
    }
    append(job.slot, [ids[i]], level)
    return { job, tokens: 1, contextTokens, decisions: [decide(job, rows[i], level, degraded(job))] }
  })
}

/** Decides the next token of one answer, or several at once where a draft of them is worth verifying. */
export function runAlone<J extends Job>(
  model: Model,
  drafter: Drafter,
  job: J,
  at: AtLevel,
  degraded: boolean,
): Part<J> {
  const { generation, proposer, slot } = job
  if (pending(job).length > 1) return runMended(job, at, degraded)
  const room = Math.min(generation.limit - generation.answer.length, model.contextTokens - slot.ids.length) - 1
  const draft = drafter.draft(proposer, room)
  if (!draft) return runTogether(model, [job], at, () => degraded)[0]
  const agreement = draft.verified.length > 0 ? agreementOn(drafter, job, draft.verified, at.level) : null
  if (agreement === 'untried') return tryDraft(drafter, job, draft.verified, at.level)
  const closest = agreement === 'same' ? 0 : roundingLogits
  const allowed = agreement === 'same' || (agreement === 'different' && mayRound(generation.request))
  const verified = allowed ? runDraft(model, job, draft.verified, at, degraded, closest) : null
  const part = verified ?? runTogether(model, [job], at, () => degraded)[0]
  // A draft that was not verified shows how good its source is as well as one that was.
  drafter.observe(
    draft.whole,
    part.decisions.map(({ tokenId }) => tokenId),
  )
  return part
}

/** Writes the rows that a refused token took with it anew, and decides the token. */
function runMended<J extends Job>(job: J, { level, highest }: AtLevel, degraded: boolean): Part<J> {
  const contextTokens = job.slot.ids.length
  const ids = pending(job)
  const logits = job.slot.sequence.run(ids, level, ids.length - 1)
  append(job.slot, ids, level)
  const taken = accepts(job, logits, { level, highest })
  if (!taken) unwind(job, contextTokens + ids.length - 1, highest)
  return { job, tokens: ids.length, contextTokens, decisions: taken ? [decide(job, logits, level, degraded)] : [] }
}

/** Exact answers and levels named by the caller are what a run of their own gives, to the bit; certificates are statistics. */
const mayRound = ({ policy, level }: GenerateRequest): boolean => policy !== 'exact' && level === null

const shapeOf = ({ slot }: Job, draft: readonly number[], level: number): RunShape => {
  const rows = 1 + draft.length
  return { rows, level, contextTokens: slot.ids.length + rows }
}

const agreementOn = ({ agreements }: Drafter, job: Job, draft: readonly number[], level: number): Agreement =>
  agreements.of(shapeOf(job, draft, level))

/** The first run of its shape decides nothing: it is held against runs of one row. */
function tryDraft<J extends Job>({ agreements }: Drafter, job: J, draft: readonly number[], level: number): Part<J> {
  const ids = [lastToken(job), ...draft]
  agreements.note(shapeOf(job, draft, level), agrees(job.slot.sequence, ids, level))
  return { job, tokens: 2 * ids.length, contextTokens: job.slot.ids.length, decisions: [] }
}

/**
 * Verifies a draft in one run. Each token is taken from its row exactly as it would be without a draft, so nothing about
 * the answer changes; the rows are right as long as the drafted tokens are, and those after the first wrong one are undone.
 * A greedy choice whose lead is below `closest`, which rounding could turn, is left to a run of its own; null when that is the first
 * one. A router that refuses a row or wants another level for the next one ends the draft there.
 */
function runDraft<J extends Job>(
  model: Model,
  job: J,
  draft: readonly number[],
  { level, highest }: AtLevel,
  degraded: boolean,
  closest: number,
): Part<J> | null {
  const { generation, slot } = job
  const contextTokens = slot.ids.length
  const ids = [lastToken(job), ...draft]
  const logits = slot.sequence.run(ids, level, 0)
  append(slot, ids, level)
  const vocabulary = model.manifest.shape.vocab_size
  const decisions: Decision[] = []
  const wanted = generation.router?.level()
  let refused = false
  for (let row = 0; row < ids.length; row++) {
    const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
    if (closest > 0 && generation.lead(own) < closest) break
    refused = !accepts(job, own, { level, highest })
    if (refused) break
    const decision = decide(job, own, level, degraded)
    decisions.push(decision)
    if (decision.finished || decision.tokenId !== ids[row + 1]) break
    // The rows behind were computed at a level that is not the next token's any more.
    if (generation.router && generation.router.level() !== wanted) break
  }
  if (refused) unwind(job, contextTokens + decisions.length, highest)
  else forget(slot, contextTokens + decisions.length)
  return decisions.length > 0 || refused ? { job, tokens: ids.length, contextTokens, decisions } : null
}

const accepts = ({ generation }: Job, logits: Float32Array, { level, highest }: AtLevel): boolean =>
  generation.router?.accepts(logits, level, highest) ?? true

function decide({ generation, proposer }: Job, logits: Float32Array, level: number, degraded: boolean): Decision {
  const decision = generation.decide(logits, level, degraded)
  proposer?.add(decision.tokenId)
  return decision
}

/** The token decided last, which is not in the cache yet. */
function lastToken({ generation }: Job): number {
  return generation.answer[generation.answer.length - 1]
}

/** Tokens of the answer that are not in the cache: its last one, or more where rows are to be written anew. */
export const pending = ({ generation, slot }: Job): readonly number[] =>
  generation.answer.slice(slot.ids.length - generation.promptIds.length)

/** Takes a refused row out of the cache, at `length`, and with it what is to be written anew at the level that is wanted now. */
function unwind({ generation, slot }: Job, length: number, highest: number): void {
  forget(slot, length)
  const asked = generation.promptIds.length
  const level = Math.min(generation.router?.level() ?? highest, highest)
  forget(slot, asked + mendFrom(slot.levels.slice(asked), level))
}
