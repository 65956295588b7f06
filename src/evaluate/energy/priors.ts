import type { Board } from '../../board/types.ts'
import type { ModelCost } from '../../board/work.ts'
import { perturbed } from '../../twin/perturb.ts'
import { costAt, decodeWork, prefillWork, type Setting } from './cost.ts'
import type { Trace } from './traces.ts'

/** How far each prior of the board's model may be off (hardware.md §4.6), drawn evenly and independently. */
export const priorError = 0.4

/** Runs that cost the same but for a few tokens of context: memory time and joules are linear in bytes, so their mean stands for them. */
export interface Aggregate {
  readonly decode: readonly Pile[]
  readonly prompts: readonly Pile[]
}

interface Pile {
  readonly level: number
  readonly rows: number
  readonly count: number
  readonly meanTokens: number
}

const contextBin = 64
const promptBin = 16

export function aggregate(traces: readonly Trace[]): Aggregate {
  const decode = piles()
  const prompts = piles()
  for (const { promptTokens, runs } of traces) {
    prompts.add(0, 1, promptTokens, promptBin)
    for (const { level, rows, contextTokens } of runs) decode.add(level, rows, contextTokens, contextBin)
  }
  return { decode: decode.all(), prompts: prompts.all() }
}

function piles() {
  const found = new Map<string, { level: number; rows: number; count: number; sum: number }>()
  return {
    add(level: number, rows: number, tokens: number, width: number): void {
      const key = `${level} ${rows} ${Math.floor(tokens / width)}`
      const pile = found.get(key) ?? { level, rows, count: 0, sum: 0 }
      pile.count++
      pile.sum += tokens
      found.set(key, pile)
    },
    all: (): Pile[] =>
      [...found.values()].map(({ level, rows, count, sum }) => ({ level, rows, count, meanTokens: sum / count })),
  }
}

/** Joules of all answers in a setting, by aggregates. */
export function totalJoules({ decode, prompts }: Aggregate, cost: ModelCost, { model, ...clocks }: Setting) {
  const decoding = decode.reduce((sum, { level, rows, count, meanTokens }) => {
    const work = decodeWork(cost, { level, rows, contextTokens: meanTokens })
    return sum + count * costAt(model, clocks.decode(level), work).joules
  }, 0)
  const reading = prompts.reduce(
    (sum, { count, meanTokens }) => sum + count * costAt(model, clocks.prefill, prefillWork(cost, meanTokens)).joules,
    0,
  )
  return { decode: decoding, request: decoding + reading }
}

/** The board as it might be, `draws` times; the same seed gives the same boards. */
export const priorBoards = (board: Board, draws: number, seed: number): Board[] =>
  Array.from({ length: draws }, (_, i) => perturbed(board, priorError, seed + i))
