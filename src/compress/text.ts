import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ChatMessage } from '../engine/protocol.ts'
import { openTemplate } from '../engine/template.ts'
import { openTokenizer } from '../engine/tokenizer.ts'
import { DeapdError, detailOf } from '../errors.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import { seededShuffle } from './random.ts'

/** Positions [from, to) that run below the full level; what each of them predicts is the token after it. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** A text as tokens, with the stretches that a smaller network would decode: everything before them is read by the full one. */
export interface Sample {
  readonly ids: Int32Array
  readonly ranges: readonly Range[]
  /** Whether the ranges are answers, so that a right one can be told from a wrong one. */
  readonly answers: boolean
}

export interface Calibration {
  readonly samples: readonly Sample[]
  /** Of the file's bytes. */
  readonly sha256: string
}

interface Line {
  readonly system?: string
  readonly messages?: readonly ChatMessage[]
  readonly text?: string
}

/** Longest window of plain text: longer ones cost more and say the same. */
const windowTokens = 512

/**
 * Reads a calibration file: JSON Lines of `{"system", "messages": [{role, content}]}` or `{"text"}`, or plain text. At most
 * `count` samples are drawn, the same for the same seed. Throws `calibration_text`.
 */
export function readCalibrationText(
  path: string,
  checkpoint: Checkpoint,
  folder: string,
  count: number,
  seed: number,
): Calibration {
  const raw = readFile(path)
  const plain = (): Line => ({ text: raw.toString('utf8') })
  const lines = /^\s*\{/.test(raw.toString('utf8', 0, 4096)) ? jsonLines(path, raw) : [plain]
  const encode = encoder(checkpoint, folder)
  const samples: Sample[] = []
  for (const index of seededShuffle(lines.length, seed)) {
    if (samples.length >= count) break
    samples.push(...encode(lines[index]()).filter(({ ranges }) => ranges.length > 0))
  }
  if (samples.length < 2) {
    throw new DeapdError('calibration_text', { path, detail: `it holds ${samples.length} usable texts, 2 are needed` })
  }
  // A long plain text is one line and many windows.
  const chosen = [...seededShuffle(samples.length, seed)].slice(0, count)
  const picked = samples.length > count ? chosen.map((index) => samples[index]) : samples
  return { samples: picked, sha256: createHash('sha256').update(raw).digest('hex') }
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new DeapdError('calibration_text', { path, detail: detailOf(error) }, error)
  }
}

/** Looks at every line, and gives functions that read one: of a large file only what is drawn is in memory. */
function jsonLines(path: string, raw: Buffer): readonly (() => Line)[] {
  const lines: (() => Line)[] = []
  for (let start = 0, number = 1; start < raw.length; number++) {
    const found = raw.indexOf('\n', start)
    const end = found < 0 ? raw.length : found
    const [from, place] = [start, number]
    start = end + 1
    const read = (): Line => parseLine(path, raw.toString('utf8', from, end), place)
    if (raw.toString('utf8', from, end).trim() === '') continue
    read()
    lines.push(read)
  }
  return lines
}

function parseLine(path: string, line: string, number: number): Line {
  try {
    const parsed = JSON.parse(line) as Line
    if (typeof parsed.text !== 'string' && !Array.isArray(parsed.messages)) throw new Error('neither messages nor text')
    return parsed
  } catch (error) {
    throw new DeapdError('calibration_text', { path, detail: `line ${number}: ${detailOf(error)}` }, error)
  }
}

/** Renders and tokenises lines as the engine would. */
function encoder(checkpoint: Checkpoint, folder: string): (line: Line) => Sample[] {
  const { shape, tokenizer: document, template: jinja, extras } = checkpoint
  writeFileSync(join(folder, 'tokenizer.json'), document)
  writeFileSync(join(folder, 'chat_template.jinja'), jinja)
  const tokenizer = openTokenizer(folder)
  const ids = { bos_token_id: shape.bosTokenId, eos_token_ids: [...shape.eosTokenIds] }
  const chat = openTemplate(folder, { ...ids, default_system_prompt: extras.default_system_prompt ?? null }, tokenizer)
  return ({ system, messages, text }) => {
    if (messages === undefined) return windows(shape.bosTokenId, tokenizer.encode(text ?? ''), shape.contextTokens)
    const all: readonly ChatMessage[] =
      system === undefined ? messages : [{ role: 'system', content: system }, ...messages]
    const ids = chat(all, true)
    if (ids.length > shape.contextTokens) return []
    const ranges = all.flatMap(({ role }, turn): Range[] => {
      if (role !== 'assistant') return []
      const from = shared(ids, chat(all.slice(0, turn)))
      const end = shared(ids, chat(all.slice(0, turn + 1), true))
      const stop = ids.findIndex((id, i) => i >= from && i < end && shape.eosTokenIds.includes(id))
      // The last token of an answer is predicted, never read.
      const to = (stop < 0 ? end : stop + 1) - 1
      return to > from ? [{ from, to }] : []
    })
    return [{ ids: Int32Array.from(ids), ranges, answers: true }]
  }
}

/** How many tokens two lists begin with alike: what the engine would find in its cache. */
function shared(one: readonly number[], other: readonly number[]): number {
  const end = one.findIndex((id, i) => id !== other[i])
  return end < 0 ? one.length : end
}

/** Plain text in windows whose second half is scored. */
function windows(bos: number, ids: readonly number[], contextTokens: number): Sample[] {
  const size = Math.min(windowTokens, contextTokens) - 1
  const samples: Sample[] = []
  for (let start = 0; start + 4 <= ids.length; start += size) {
    const window = Int32Array.from([bos, ...ids.slice(start, start + size)])
    samples.push({
      ids: window,
      ranges: [{ from: window.length >> 1, to: window.length - 1 }],
      answers: false,
    })
  }
  return samples
}

/** So many tokens of what the model is used for. */
export function beginningOf(samples: readonly Sample[], tokens: number): readonly number[] {
  const found: number[] = []
  for (const { ids } of samples) if (found.length < tokens) found.push(...ids)
  return found.slice(0, tokens)
}
