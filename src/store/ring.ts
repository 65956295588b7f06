import { createHash } from 'node:crypto'
import { closeSync, fdatasync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'

/**
 * A file of fixed size that keeps the last records of a run: a page for what the run is, a page for the mark of a clean
 * end, then slots that are written round and round. Every record carries a checksum, so one that a power cut has torn is
 * left out and the others stand.
 */
export interface Ring {
  /** Text of one line; a longer one than fits a slot is refused. Reaches the kernel at once: a kill does not lose it. */
  append(text: string): void
  /** Puts what was appended on the disk, off the event loop; one at a time. */
  sync(): Promise<void>
  /** Marks that the run ended by itself, and closes. */
  close(): void
}

export interface RingContent {
  readonly head: string
  readonly clean: boolean
  /** Oldest first. */
  readonly records: readonly string[]
}

export const slotBytes = 256
/** At ten a second under load these are 102 s. The whole file is 264 KiB. */
const slots = 1024
const pageBytes = 4096
const rowsAt = 2 * pageBytes
const checkChars = 8

/** Begins a new run over what the file holds. Space is taken at once, so that a disk that fills later does not matter. */
export function beginRing(path: string, head: string): Ring {
  const run = checksum(`${head} ${process.pid} ${process.hrtime.bigint()}`)
  const descriptor = openSync(path, 'w+', 0o600)
  // Page by page: a kernel keeps what came in one large write as one large piece, and would write all of it for one record.
  const blank = Buffer.alloc(pageBytes, '\n')
  for (let at = 0; at < rowsAt + slots * slotBytes; at += pageBytes) writeSync(descriptor, blank, 0, pageBytes, at)
  writeSync(descriptor, sealed(`${run} ${head}`, pageBytes), 0, pageBytes, 0)
  fdatasyncSync(descriptor)
  let next = 0
  let syncing = false
  return {
    append(text) {
      const slot = sealed(`${run} ${next} ${text}`, slotBytes)
      writeSync(descriptor, slot, 0, slotBytes, rowsAt + (next % slots) * slotBytes)
      next += 1
    },
    sync() {
      if (syncing) return Promise.resolve()
      syncing = true
      return new Promise((resolve, reject) => {
        fdatasync(descriptor, (error) => {
          syncing = false
          if (error) reject(error)
          else resolve()
        })
      })
    },
    close() {
      writeSync(descriptor, sealed(`${run} end`, pageBytes), 0, pageBytes, pageBytes)
      fdatasyncSync(descriptor)
      closeSync(descriptor)
    },
  }
}

/** What the last run left; undefined when there is nothing that can be read. */
export function readRing(path: string): RingContent | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch {
    return undefined
  }
  const at = (from: number, length: number) => unsealed(bytes.subarray(from, from + length))
  const first = at(0, pageBytes)
  if (first === undefined) return undefined
  const [run, head] = halves(first)
  const rows: { readonly number: number; readonly text: string }[] = []
  for (let slot = 0; slot < slots; slot += 1) {
    const [owner, rest] = halves(at(rowsAt + slot * slotBytes, slotBytes) ?? '')
    if (owner !== run) continue
    const [number, text] = halves(rest)
    rows.push({ number: Number(number), text })
  }
  rows.sort((a, b) => a.number - b.number)
  return { head, clean: at(pageBytes, pageBytes) === `${run} end`, records: rows.map(({ text }) => text) }
}

function sealed(text: string, length: number): Buffer {
  const content = Buffer.from(`${checksum(text)} ${text}`)
  if (content.length > length) throw new RangeError(`a record of ${content.length} bytes does not fit ${length}`)
  return Buffer.concat([content, Buffer.alloc(length - content.length, '\n')])
}

function unsealed(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8').trimEnd()
  const body = text.slice(checkChars + 1)
  return body !== '' && text.slice(0, checkChars) === checksum(body) ? body : undefined
}

const checksum = (text: string): string => createHash('sha1').update(text).digest('hex').slice(0, checkChars)

function halves(text: string): [string, string] {
  const space = text.indexOf(' ')
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)]
}
