import type { DraftMode } from '../protocol.ts'
import { type Agreements, createAgreements } from './agreement.ts'
import { createDraftPolicy, type DraftPolicy, longestDraft } from './policy.ts'
import { createProposer, type Draft, type Proposer, type Successors } from './propose.ts'

/** Everything about drafts that answers have in common: what follows what, what a run costs and computes, how often drafts are right. */
export interface Drafter {
  /** Where the drafts of one answer come from; null when there shall be none. */
  proposer(prompt: readonly number[]): Proposer | null
  /** What may come next, at most `room` tokens, and the part of it that is worth verifying. */
  draft(proposer: Proposer | null, room: number): { readonly whole: Draft; readonly verified: readonly number[] } | null
  readonly observe: DraftPolicy['observe']
  readonly cost: DraftPolicy['cost']
  /** Whether a run of several rows computes what runs of one row do. */
  readonly agreements: Agreements
}

export function createDrafter(mode: DraftMode, vocabulary: number): Drafter {
  const policy = createDraftPolicy(mode)
  const successors: Successors = new Int32Array(mode === 'off' ? 0 : vocabulary).fill(-1)
  return {
    proposer: (prompt) => (mode === 'off' ? null : createProposer(prompt, successors)),
    draft(proposer, room) {
      const whole = proposer?.propose(Math.min(longestDraft, room)) ?? null
      return whole && { whole, verified: whole.ids.slice(0, policy.length(whole)) }
    },
    observe: policy.observe,
    cost: policy.cost,
    agreements: createAgreements(),
  }
}
