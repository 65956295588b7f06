import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DeapdError, detailOf } from '../errors.ts'
import { bootId, isClockFile, readBytes, writable } from './sysfs.ts'

/** The values that clock files had before deapd first wrote to them: what `restore` puts back. */
export interface ClockJournal {
  /**
   * Saves the present content of these files (relative to the root) durably, unless it was saved before. Throws
   * `journal_unwritable`; then none of them may be written.
   */
  readonly record: (paths: readonly string[]) => void
  /** The saved content of a file; undefined when it was never saved. */
  readonly originalOf: (path: string) => string | undefined
  /** After a restore: the next write saves originals again. */
  readonly forget: () => void
}

/** What is in clocks.json. `original` holds the file's bytes as latin1 text, so that they come back byte for byte. */
export interface JournalFile {
  readonly schema: 'deapd-clocks/1'
  readonly root: string
  /** Of the boot in which the values were read; null where the tree has none. A reboot resets every clock. */
  readonly bootId: string | null
  readonly entries: readonly JournalEntry[]
}

export interface JournalEntry {
  readonly path: string
  readonly original: string
}

/** The journal is written twice, one file after the other, so that one that a dying disk has torn still has its copy. */
const copyOf = (journalPath: string): string => `${journalPath}.copy`

/**
 * Opens the journal for writing. Originals of an earlier process of this boot are kept: they are older than anything we
 * could read now. Throws `journal_damaged` and touches nothing when an existing journal cannot be read.
 */
export function openJournal(journalPath: string, root: string): ClockJournal {
  const boot = bootId(root)
  const known = readJournal(journalPath)
  if (known !== undefined && known.root !== root) {
    throw new DeapdError('journal_damaged', { path: journalPath, detail: `it belongs to the tree ${known.root}` })
  }
  let entries = known === undefined || isFromAnotherBoot(known) ? [] : known.entries

  return {
    record(paths) {
      const fresh = paths.filter((path) => !entries.some((entry) => entry.path === path))
      // Also written again when it is gone: a `deapd restore` of somebody else may have removed it.
      if (fresh.length === 0 && existsSync(journalPath)) return
      const added = fresh.map((path) => ({ path, original: readBytes(writable(root, path)).toString('latin1') }))
      const next = [...entries, ...added]
      if (next.length === 0) return
      writeJournal(journalPath, { schema: 'deapd-clocks/1', root, bootId: boot, entries: next })
      entries = next
    },
    originalOf: (path) => entries.find((entry) => entry.path === path)?.original,
    forget() {
      entries = []
    },
  }
}

/** The journal, or its copy when the journal itself is damaged; undefined when there is none. Throws `journal_damaged`. */
export function readJournal(journalPath: string): JournalFile | undefined {
  try {
    return parseJournal(journalPath)
  } catch (damage) {
    try {
      const copy = parseJournal(copyOf(journalPath))
      if (copy !== undefined) return copy
    } catch {
      // Both are damaged: the first one is named.
    }
    throw new DeapdError('journal_damaged', { path: journalPath, detail: detailOf(damage) }, damage)
  }
}

function parseJournal(path: string): JournalFile | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw thrown
  }
  const file = JSON.parse(text) as Partial<JournalFile> | null
  if (file?.schema !== 'deapd-clocks/1') throw new Error('it is not a deapd-clocks/1 file')
  if (typeof file.root !== 'string' || !Array.isArray(file.entries)) throw new Error('fields are missing')
  for (const entry of file.entries) {
    if (typeof entry?.path !== 'string' || typeof entry.original !== 'string') throw new Error('an entry is damaged')
    if (!isClockFile(entry.path)) throw new Error(`${entry.path} is not a clock file`)
  }
  return { schema: file.schema, root: file.root, bootId: file.bootId ?? null, entries: file.entries }
}

/** After a reboot the kernel's own clocks hold, and originals of the boot before would be wrong. */
export function isFromAnotherBoot(file: JournalFile): boolean {
  const now = bootId(file.root)
  return file.bootId !== null && now !== null && file.bootId !== now
}

/** On the disk, both of them, before we return: a clock is written right after this. Throws `journal_unwritable`. */
export function writeJournal(journalPath: string, file: JournalFile): void {
  try {
    mkdirSync(dirname(journalPath), { recursive: true })
    removeLitter(journalPath)
    writeDurably(copyOf(journalPath), file)
    writeDurably(journalPath, file)
  } catch (thrown) {
    throw new DeapdError('journal_unwritable', { path: journalPath, detail: detailOf(thrown) }, thrown)
  }
}

/** Removes the journal; the folder is synced, so that it cannot come back with a power cut. */
export function removeJournal(journalPath: string): void {
  try {
    rmSync(copyOf(journalPath), { force: true })
    rmSync(journalPath, { force: true })
    if (existsSync(dirname(journalPath))) removeLitter(journalPath)
    syncFolder(dirname(journalPath))
  } catch (thrown) {
    throw new DeapdError('journal_unwritable', { path: journalPath, detail: detailOf(thrown) }, thrown)
  }
}

/** Whole or not at all. */
function writeDurably(path: string, file: JournalFile): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  const descriptor = openSync(temporary, 'w', 0o600)
  try {
    writeSync(descriptor, `${JSON.stringify(file, null, 2)}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, path)
  syncFolder(dirname(path))
}

/** What a process that died between writing and renaming left behind. */
function removeLitter(journalPath: string): void {
  const folder = dirname(journalPath)
  const stem = `.${basename(journalPath)}.`
  for (const name of readdirSync(folder)) {
    if (name.startsWith(stem) && name.endsWith('.tmp')) rmSync(join(folder, name), { force: true })
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
