import type { Engine } from '../../engine/client.ts'
import type { GenerateRequest, Sampling } from '../../engine/protocol.ts'
import { makePrompts, type Prompt, strata } from './dialogue.ts'
import { seededRandom } from './random.ts'

export interface Cell {
  readonly prompts: number
  readonly correct: number
  /** Percent. */
  readonly accuracy: number
  /** 95 % Wilson interval in percent. */
  readonly low: number
  readonly high: number
}

export interface LevelScore {
  readonly level: number
  readonly share: number
  readonly all: Cell
  readonly strata: Readonly<Record<string, Cell>>
  readonly heldOutWordings: Cell
  readonly knownWordings: Cell
  readonly kinds: Readonly<Record<string, Cell>>
}

/** Exact match after normalisation: case, white space and a final full stop do not count. */
export const normalise = (text: string): string => text.trim().toLowerCase().replace(/\s+/g, ' ').replace(/\.$/, '')

/** Asks `count` held-out prompts at every level and scores the answers. The seed fixes the prompts. */
export async function scoreSupport(
  engine: Engine,
  shares: readonly number[],
  count: number,
  seed: number,
  sampling: Sampling,
  onProgress: (done: number, total: number, what: string) => void,
): Promise<LevelScore[]> {
  const prompts = makePrompts(seededRandom(seed), 'test', count)
  const scores: LevelScore[] = []
  for (const [level, share] of shares.entries()) {
    const right: boolean[] = []
    for (const [i, prompt] of prompts.entries()) {
      right.push(normalise(await answer(engine, prompt, level, sampling)) === normalise(prompt.answer))
      if (i % 50 === 49 || i === prompts.length - 1) onProgress(i + 1, prompts.length, `prompts at level ${level}`)
    }
    scores.push(summarise(level, share, prompts, right))
  }
  return scores
}

async function answer(engine: Engine, prompt: Prompt, level: number, sampling: Sampling): Promise<string> {
  const request: GenerateRequest = {
    id: 'evaluate',
    input: {
      messages: [
        { role: 'system', content: prompt.system },
        { role: 'user', content: prompt.question },
      ],
    },
    sampling: { ...sampling, maxTokens: 24 },
    policy: 'exact',
    level,
    maxJoules: null,
  }
  let text = ''
  for await (const event of engine.generate(request, new AbortController().signal)) {
    if (event.type === 'token') text += event.text
  }
  return text
}

function summarise(level: number, share: number, prompts: readonly Prompt[], right: readonly boolean[]): LevelScore {
  const where = (wanted: (prompt: Prompt) => boolean): Cell => {
    const picked = prompts.flatMap((prompt, i) => (wanted(prompt) ? [right[i]] : []))
    return cell(picked.length, picked.filter(Boolean).length)
  }
  const kinds = [...new Set(prompts.map(({ kind }) => kind))].sort()
  return {
    level,
    share,
    all: where(() => true),
    strata: Object.fromEntries(strata.map((stratum) => [stratum, where((p) => p.stratum === stratum)])),
    heldOutWordings: where((p) => p.heldOutWording),
    knownWordings: where((p) => !p.heldOutWording),
    kinds: Object.fromEntries(kinds.map((kind) => [kind, where((p) => p.kind === kind)])),
  }
}

/** A proportion with its Wilson score interval (Wilson 1927), which stays inside 0 to 100 % at the ends. */
export function cell(prompts: number, correct: number): Cell {
  if (prompts === 0) return { prompts, correct, accuracy: Number.NaN, low: 0, high: 100 }
  const z = 1.959964
  const p = correct / prompts
  const centre = (p + z ** 2 / (2 * prompts)) / (1 + z ** 2 / prompts)
  const half = (z / (1 + z ** 2 / prompts)) * Math.sqrt((p * (1 - p)) / prompts + z ** 2 / (4 * prompts ** 2))
  return { prompts, correct, accuracy: p * 100, low: (centre - half) * 100, high: (centre + half) * 100 }
}
