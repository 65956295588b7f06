import type { ModelCost } from '../../board/work.ts'
import { createDrafter } from '../../engine/drafts/drafter.ts'
import { roundingLogits } from '../../engine/scheduling/runs.ts'
import type { LaneAnswer } from '../answers.ts'
import { costAt, decodeWork, type Run, type Setting } from './cost.ts'

export interface TraceRun extends Run {
  /** Tokens it decided: none when its row was refused, several when a draft was right. */
  readonly emits: number
}

/** The runs behind one answer, in order: its prompt, and what decoded it. */
export interface Trace {
  readonly promptTokens: number
  /** Tokens that decoding gave; the first of the answer is the prompt's. */
  readonly tokens: number
  readonly runs: readonly TraceRun[]
}

/** Token by token, as an answer is decoded among others; refused rows are runs too, and what follows them has the rows that it mends. */
export function plainTrace(promptTokens: number, { levels, refused }: LaneAnswer): Trace {
  const runs = levels.flatMap((level, at): TraceRun[] => {
    if (at === 0) return []
    const before = promptTokens + at
    const wasted = refused.filter((one) => one.at === at)
    const rows = wasted.at(-1)?.mended ?? 1
    return [
      ...wasted.map((one) => ({ level: one.level, rows: 1, contextTokens: before - 1, emits: 0 })),
      { level, rows, contextTokens: before - rows, emits: 1 },
    ]
  })
  return { promptTokens, tokens: Math.max(0, levels.length - 1), runs }
}

/**
 * The same answers, alone and with drafts verified: proposals and their lengths come from the engine's own drafter, which
 * learns over all answers in order what verifying costs on this board. A run verifies at the level that decided its first
 * token, and a token that was decided at another level, or too closely, waits for a run of its own: nothing about the
 * answers changes.
 */
export function draftedTraces(
  prompts: readonly (readonly number[])[],
  answers: readonly LaneAnswer[],
  vocabulary: number,
  cost: ModelCost,
  { model, decode }: Setting,
  limits: { readonly maxTokens: number; readonly contextTokens: number },
): Trace[] {
  const drafter = createDrafter('auto', vocabulary)
  return answers.map((answer, at) => {
    const { ids, levels, refused } = answer
    const promptTokens = prompts[at].length
    const proposer = drafter.proposer(prompts[at])
    const runs: TraceRun[] = []
    const run = (level: number, rows: number, decided: number, emits: number, mended = 1): void => {
      const one = { level, rows, contextTokens: promptTokens + decided - mended, emits }
      runs.push(one)
      drafter.cost(level, rows, costAt(model, decode(level), decodeWork(cost, one)).seconds)
    }
    const limit = Math.min(limits.maxTokens, limits.contextTokens - promptTokens)
    if (ids.length > 0) proposer?.add(ids[0])
    for (let decided = 1; decided < ids.length; ) {
      const level = levels[decided]
      const wasted = refused.filter(({ at }) => at === decided)
      for (const one of wasted) run(one.level, 1, decided, 0)
      const mended = wasted.at(-1)?.mended ?? 1
      if (mended > 1) {
        run(level, mended, decided, 1, mended)
        proposer?.add(ids[decided])
        decided++
        continue
      }
      const draft = drafter.draft(proposer, limit - decided - 1)
      const verified = draft?.verified ?? []
      let taken = verified.length > 0 ? agreed(answer, decided, verified) : 0
      if (verified.length > 0) run(level, 1 + verified.length, decided, taken)
      if (taken === 0) {
        run(level, 1, decided, 1)
        taken = 1
      }
      const emitted = ids.slice(decided, decided + taken)
      if (draft) drafter.observe(draft.whole, emitted)
      for (const id of emitted) proposer?.add(id)
      decided += taken
    }
    return { promptTokens, tokens: Math.max(0, ids.length - 1), runs }
  })
}

/** Tokens from `decided` on that one run decides when `draft` is verified in it. */
function agreed({ ids, levels, leads, refused }: LaneAnswer, decided: number, draft: readonly number[]): number {
  let taken = 0
  for (let at = decided; at < ids.length && taken <= draft.length; at++) {
    const apart = levels[at] !== levels[decided] || (at > decided && refused.some((one) => one.at === at))
    if (apart || leads[at] < roundingLogits) break
    taken++
    if (ids[at] !== draft[taken - 1]) break
  }
  return taken
}
