import { createProposer } from '../drafts/propose.ts'
import type { TokenSignals } from './estimate.ts'
import { type Uncertainty, uncertaintyOf } from './uncertainty.ts'

/** Follows one answer and says of each row of logits what is known of its token. */
export interface Observer {
  /** The row of the first token, which the prompt's run gave. */
  first(seen: Uncertainty): void
  /** `skipped` is the share of the weights that the row was computed without. */
  observe(logits: Float32Array, skipped: number): TokenSignals
  /** The token that was taken from the row seen last. */
  add(tokenId: number): void
}

/** How much what was before counts in the rolling mean: half of it is from the last three tokens. */
const memory = 0.8

export function createObserver(promptIds: readonly number[]): Observer {
  const proposer = createProposer(promptIds, null)
  let rolling = 0
  let entropy = 0
  /** Tokens in a row, up to now, that were as the text looked up in prompt and answer said; tokens of the answer. */
  let copied = 0
  let length = 0
  let expected: number | null = null
  const lookUp = (): void => {
    expected = proposer.propose(1)?.ids[0] ?? null
  }
  lookUp()
  return {
    first(seen) {
      entropy = seen.entropy
    },
    observe(logits, skipped) {
      const seen = uncertaintyOf(logits)
      entropy = seen.entropy
      return {
        margin: seen.margin,
        entropy,
        rolling,
        copied: length === 0 ? 0 : copied / length,
        contradicted: expected !== null && expected !== seen.tokenId ? 1 : 0,
        skipped,
      }
    },
    add(tokenId) {
      rolling = memory * rolling + (1 - memory) * entropy
      copied = expected === tokenId ? copied + 1 : 0
      length++
      proposer.add(tokenId)
      lookUp()
    },
  }
}
