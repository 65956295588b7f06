import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DeapdError, detailOf } from '../errors.ts'
import { bootId, isClockFile, readBytes, writable } from './sysfs.ts'

/** The values that clock files had before deapd first wrote to them: what `restore` puts back. */
export interface ClockJournal {
  /** Saves the present content of these files (relative to the root) durably, unless it was saved before. */
  readonly record: (paths: readonly string[]) => void
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
      if (fresh.length === 0) return
      const added = fresh.map((path) => ({ path, original: readBytes(writable(root, path)).toString('latin1') }))
      const next = [...entries, ...added]
      writeDurably(journalPath, { schema: 'deapd-clocks/1', root, bootId: boot, entries: next })
      entries = next
    },
    forget() {
      entries = []
    },
  }
}

/** The journal, or undefined when there is none; throws `journal_damaged`. */
export function readJournal(journalPath: string): JournalFile | undefined {
  let text: string
  try {
    text = readFileSync(journalPath, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new DeapdError('journal_damaged', { path: journalPath, detail: detailOf(thrown) }, thrown)
  }
  try {
    const file = JSON.parse(text) as Partial<JournalFile> | null
    if (file?.schema !== 'deapd-clocks/1') throw new Error('it is not a deapd-clocks/1 file')
    if (typeof file.root !== 'string' || !Array.isArray(file.entries)) throw new Error('fields are missing')
    for (const entry of file.entries) {
      if (typeof entry?.path !== 'string' || typeof entry.original !== 'string') throw new Error('an entry is damaged')
      if (!isClockFile(entry.path)) throw new Error(`${entry.path} is not a clock file`)
    }
    return { schema: file.schema, root: file.root, bootId: file.bootId ?? null, entries: file.entries }
  } catch (thrown) {
    throw new DeapdError('journal_damaged', { path: journalPath, detail: detailOf(thrown) }, thrown)
  }
}

/** After a reboot the kernel's own clocks hold, and originals of the boot before would be wrong. */
export function isFromAnotherBoot(file: JournalFile): boolean {
  const now = bootId(file.root)
  return file.bootId !== null && now !== null && file.bootId !== now
}

/** Removes the journal; the folder is synced, so that it cannot come back with a power cut. */
export function removeJournal(journalPath: string): void {
  rmSync(journalPath, { force: true })
  syncFolder(dirname(journalPath))
}

/** Whole or not at all, and on the disk before we return: a clock is written right after this. */
function writeDurably(journalPath: string, file: JournalFile): void {
  const folder = dirname(journalPath)
  mkdirSync(folder, { recursive: true })
  const temporary = join(folder, `.clocks.${process.pid}.tmp`)
  const descriptor = openSync(temporary, 'w', 0o600)
  try {
    writeSync(descriptor, `${JSON.stringify(file, null, 2)}\n`)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, journalPath)
  syncFolder(folder)
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
