import { join } from 'node:path'
import { type Asked, type Block, blockSize } from '../answering/block.ts'
import { openJournal } from '../answering/journal.ts'
import type { Pool } from '../answering/pool.ts'
import type { LaneAnswer } from '../answers.ts'
import type { Contestant } from './arms.ts'

export interface Collected {
  /** answers[lane][prompt]. */
  readonly answers: readonly (readonly LaneAnswer[])[]
  /** Seconds on the clock of reading the prompts, and of decoding in each lane. */
  readonly prefillSeconds: number
  readonly laneSeconds: readonly number[]
}

export interface CollectOptions {
  /** Folder of the journals. */
  readonly work: string
  readonly digest: string
  readonly prompts: readonly Asked[]
  readonly maxTokens: number
  readonly pool: Pool
  readonly onProgress: (done: number, total: number) => void
}

/** All answers of one package, from its journal as far as they are there. */
export async function collect({ name, dir, arms }: Contestant, options: CollectOptions): Promise<Collected> {
  const { work, digest, prompts, maxTokens, pool, onProgress } = options
  const lanes = arms.map(({ lane }) => lane)
  const journal = openJournal(join(work, 'answers', `${name}.jsonl`), {
    digest,
    lanes,
    maxTokens,
    ids: prompts.map(({ promptIds }) => promptIds),
  })
  const blocks = new Map(journal.blocks.map((block) => [block.from, block]))
  const show = (): void => onProgress(Math.min(prompts.length, blocks.size * blockSize), prompts.length)
  await pool.answer({ dir, lanes, prompts, maxTokens }, new Set(blocks.keys()), (block) => {
    journal.append(block)
    blocks.set(block.from, block)
    show()
  })
  show()
  return inOrder([...blocks.values()], lanes.length)
}

function inOrder(blocks: readonly Block[], lanes: number): Collected {
  const sorted = [...blocks].sort((a, b) => a.from - b.from)
  const each = Array.from({ length: lanes }, (_, lane) => lane)
  return {
    answers: each.map((lane) => sorted.flatMap(({ answers }) => answers[lane])),
    prefillSeconds: sorted.reduce((sum, { prefillSeconds }) => sum + prefillSeconds, 0),
    laneSeconds: each.map((lane) => sorted.reduce((sum, { laneSeconds }) => sum + laneSeconds[lane], 0)),
  }
}
