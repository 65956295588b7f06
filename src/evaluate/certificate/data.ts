import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ChatMessage } from '../../engine/protocol.ts'
import { DeapdError, detailOf } from '../../errors.ts'
import { seededRandom } from '../support/random.ts'

/** One prompt of a calibration file. */
export interface CalibrationPrompt {
  readonly messages: readonly ChatMessage[]
  /** The right answer; null when none is known. */
  readonly answer: string | null
  /** What the file says of its difficulty, if anything; used for figures only. */
  readonly stratum: string | null
}

export interface CalibrationData {
  readonly prompts: readonly CalibrationPrompt[]
  readonly sha256: string
}

interface Line {
  readonly system?: unknown
  readonly messages?: unknown
  readonly stratum?: unknown
}

/**
 * Reads a JSONL file of conversations, `{"system"?, "messages": [{"role", "content"} …], "stratum"?}` a line. A last message of the
 * assistant is the right answer. Throws `file_unreadable` with the number of the first bad line.
 */
export function readCalibration(path: string): CalibrationData {
  const text = read(path)
  const lines = text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [{ line, number: i + 1 }]))
  const prompts = lines.map(({ line, number }) => parse(path, line, number))
  if (prompts.length === 0) throw new DeapdError('file_unreadable', { path, detail: 'it holds no conversation' })
  return { prompts, sha256: createHash('sha256').update(text).digest('hex') }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new DeapdError('file_unreadable', { path, detail: detailOf(error) }, error)
  }
}

function parse(path: string, line: string, number: number): CalibrationPrompt {
  const bad = (detail: string, cause?: unknown) =>
    new DeapdError('file_unreadable', { path, detail: `line ${number} ${detail}` }, cause)
  let value: Line
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw bad(`is not JSON (${detailOf(error)})`, error)
  }
  const { system, messages, stratum } = value ?? {}
  if (!Array.isArray(messages) || !messages.every(isMessage)) throw bad('has no "messages" with roles and contents')
  const last = messages.at(-1)
  const asked = last?.role === 'assistant' ? messages.slice(0, -1) : messages
  if (asked.at(-1)?.role !== 'user') throw bad('asks nothing: the last message before the answer must be the user’s')
  const first: readonly ChatMessage[] = typeof system === 'string' ? [{ role: 'system', content: system }] : []
  return {
    messages: [...first, ...asked],
    answer: last?.role === 'assistant' ? last.content : null,
    stratum: typeof stratum === 'string' ? stratum : null,
  }
}

function isMessage(value: unknown): value is ChatMessage {
  const { role, content } = (value ?? {}) as Partial<ChatMessage>
  return (role === 'system' || role === 'user' || role === 'assistant') && typeof content === 'string'
}

export interface Split<T> {
  /** The estimates and the grid come from these. */
  readonly fit: readonly T[]
  /** The thresholds are tested on these, and nothing else is done with them before. */
  readonly calibration: readonly T[]
  /** What is left: more of the same, for the simulation of the certificate's validity. */
  readonly rest: readonly T[]
}

/** Most prompts of each part: more would take longer and save hardly more. */
const most = { calibration: 3000, fit: 1500 }

/** Splits in an order drawn from `seed`: half for the calibration, at most 3,000, then up to 1,500 for the fit. */
export function splitBySeed<T>(items: readonly T[], seed: number): Split<T> {
  const order = seededRandom(seed).sample(items, items.length)
  const calibration = Math.min(most.calibration, Math.floor(items.length / 2))
  const fit = Math.min(most.fit, items.length - calibration)
  return {
    calibration: order.slice(0, calibration),
    fit: order.slice(calibration, calibration + fit),
    rest: order.slice(calibration + fit),
  }
}
