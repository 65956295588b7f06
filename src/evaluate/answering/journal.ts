import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Block } from './block.ts'

/** Finished blocks of one package, a line each, so that an evaluation goes on after a kill where it stopped. */
export interface Journal {
  /** What was there when it was opened. */
  readonly blocks: readonly Block[]
  append(block: Block): void
}

/**
 * Opens the journal of one set of questions. One that was kept for other questions (another package, seed, number of
 * prompts or lanes) is begun anew; a last line torn by a kill is cut off.
 */
export function openJournal(path: string, questions: unknown): Journal {
  const key = createHash('sha256').update(JSON.stringify(questions)).digest('hex')
  mkdirSync(dirname(path), { recursive: true })
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  const [head, ...lines] = whole.split('\n').filter((line) => line !== '')
  const ours = head !== undefined && (JSON.parse(head) as { key?: string }).key === key
  if (!ours) writeFileSync(path, `${JSON.stringify({ key })}\n`)
  else if (whole.length < text.length) truncateSync(path, Buffer.byteLength(whole))
  return {
    blocks: ours ? lines.map((line) => JSON.parse(line) as Block) : [],
    append: (block) => appendFileSync(path, `${JSON.stringify(block)}\n`),
  }
}
