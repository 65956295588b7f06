import type { DraftMode } from '../protocol.ts'
import type { Draft, DraftSource } from './propose.ts'

/** Drafted tokens verified in one run at most. */
export const longestDraft = 8
/** A draft must promise this much more speed than plain decoding. */
const worthwhile = 1.05
/** Weight of a new observation: half of what is known is from the last 32 drafted tokens, the last 8 runs. */
const hitWeight = 1 - 0.5 ** (1 / 32)
const costWeight = 1 - 0.5 ** (1 / 8)
/** Before it is measured, a drafted token is taken to cost this part of a plain one, as on a board bound by memory. */
const hopefulCost = 0.03
/** A source is at first believed to be right half of the time. */
const firstAcceptance = 0.5
/** Plain tokens between two looks at whether verifying has become cheaper: the clocks may have changed. */
const probe = { first: 64, most: 4096 }

/** Decides how many drafted tokens to verify: as many as pay, by this machine's measured costs and the observed hits. */
export interface DraftPolicy {
  /** Tokens of this draft to verify; 0 decodes plainly. */
  length(draft: Draft): number
  /** The answer went on with `emitted`: which of the drafted tokens were right? Also called for drafts not verified. */
  observe(draft: Draft, emitted: readonly number[]): void
  /** A run of `rows` tokens for one answer at `level` took so long. */
  cost(level: number, rows: number, seconds: number): void
  /** Measured cost of a run of so many tokens over a run of one; null before it was measured. */
  verifyCost(rows: number): number | null
}

export function createDraftPolicy(mode: DraftMode): DraftPolicy {
  const acceptance = new Map<DraftSource, number>()
  const plainSeconds = new Map<number, number>()
  /** Cost of a run by its tokens, relative to one token. */
  const costs = new Map<number, number>([[1, 1]])
  let sinceProbe = 0
  let patience = probe.first

  /** Measured, or along the line through the nearest measured sizes. */
  const costOf = (rows: number): number => {
    const known = costs.get(rows)
    if (known !== undefined) return known
    const sizes = [...costs.keys()].sort((a, b) => a - b)
    const below = sizes.findLast((size) => size < rows) ?? 1
    const above = sizes.find((size) => size > rows)
    const from = costs.get(below) ?? 1
    if (above !== undefined) return from + ((costs.get(above) ?? from) - from) * ((rows - below) / (above - below))
    const slope = below > 1 ? Math.max(hopefulCost, (from - 1) / (below - 1)) : hopefulCost
    return from + slope * (rows - below)
  }
  /** Tokens per run over the cost of the run, when `drafted` tokens are each right with `chance`. */
  const speed = (chance: number, drafted: number, cost: (rows: number) => number): number =>
    (1 - chance ** (drafted + 1)) / (1 - chance) / cost(drafted + 1)
  const best = (chance: number, most: number, cost: (rows: number) => number): number => {
    let length = 0
    let top = worthwhile
    for (let drafted = 1; drafted <= most; drafted++) {
      const gain = speed(chance, drafted, cost)
      if (gain > top) [length, top] = [drafted, gain]
    }
    return length
  }

  return {
    length({ source, ids }) {
      const most = Math.min(ids.length, longestDraft)
      if (mode === 'off') return 0
      if (mode === 'always') return most
      const chance = Math.min(0.999, acceptance.get(source) ?? firstAcceptance)
      // Sizes far beyond what has been measured are guesses: grow towards them.
      const measured = Math.max(...costs.keys())
      const length = best(chance, Math.min(most, 2 * measured), costOf)
      if (length > 0) {
        sinceProbe = 0
        patience = probe.first
        return length
      }
      const hopeful = best(chance, most, (rows) => 1 + hopefulCost * (rows - 1))
      if (hopeful === 0 || ++sinceProbe < patience) return 0
      sinceProbe = 0
      patience = Math.min(2 * patience, probe.most)
      return 1
    },
    observe({ source, ids }, emitted) {
      for (const [i, id] of emitted.entries()) {
        if (i >= ids.length) return
        const hit = ids[i] === id
        const before = acceptance.get(source) ?? firstAcceptance
        acceptance.set(source, before + hitWeight * ((hit ? 1 : 0) - before))
        if (!hit) return
      }
    },
    cost(level, rows, seconds) {
      const plain = plainSeconds.get(level)
      if (rows === 1) {
        plainSeconds.set(level, plain === undefined ? seconds : plain + costWeight * (seconds - plain))
      } else if (plain !== undefined) {
        const ratio = Math.max(1, seconds / plain)
        const before = costs.get(rows)
        costs.set(rows, before === undefined ? ratio : before + costWeight * (ratio - before))
      }
    },
    verifyCost: (rows) => costs.get(rows) ?? null,
  }
}
