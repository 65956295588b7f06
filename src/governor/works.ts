import { type ModelCost, stepWork, type Work } from '../board/work.ts'

/** What the engine's next steps look like. */
export interface Shape {
  readonly level: number
  /** Answers that decode together, and the tokens in all their caches. */
  readonly sequences: number
  readonly contextTokens: number
  readonly prefillChunk: number
}

/** Cached tokens assumed before the first answer shows better, and the step in which contexts are told apart. */
const typicalContextTokens = 256
const contextStep = 64

/** Makes the works of a shape; the same objects while it stays about the same, so that what is known of them is kept. */
export function createWorks(cost: ModelCost): (shape: Shape) => { readonly decode: Work; readonly prefill: Work } {
  let key = ''
  let works: { readonly decode: Work; readonly prefill: Work } | null = null
  return ({ level, sequences, contextTokens, prefillChunk }) => {
    const context = sequences === 0 ? typicalContextTokens : Math.ceil(contextTokens / contextStep) * contextStep
    const now = `${level} ${sequences} ${context} ${prefillChunk}`
    if (works === null || now !== key) {
      key = now
      works = {
        decode: stepWork(cost, { phase: 'decode', level, tokens: Math.max(1, sequences), contextTokens: context }),
        prefill: stepWork(cost, {
          phase: 'prefill',
          level: cost.weightBytes.length - 1,
          tokens: prefillChunk,
          contextTokens: typicalContextTokens,
        }),
      }
    }
    return works
  }
}
