import { dirname, join } from 'node:path'
import { DeapdError } from '../errors.ts'
import { isFromAnotherBoot, type JournalEntry, readJournal, removeJournal } from './journal.ts'
import { readBytes, readHz, writeClock } from './sysfs.ts'

export interface Restored {
  /** Files that were put back, relative to `root`, with the value they have again. */
  readonly files: readonly { readonly path: string; readonly value: string }[]
  /** Null when there was no journal. */
  readonly root: string | null
  /** One sentence for the command line and the log. */
  readonly detail: string
}

/**
 * Puts every journalled clock back, reads it back and removes the journal. Nothing to do is success. Throws
 * `journal_damaged` before anything is touched; or `clock_refused` for the first clock that did not come back, with all
 * others restored and the journal kept, so that it can be tried again.
 */
export function restore(journalPath: string): Restored {
  const file = readJournal(journalPath)
  if (file === undefined) return { files: [], root: null, detail: 'There is no clock journal: nothing to restore.' }
  if (isFromAnotherBoot(file)) {
    removeJournal(journalPath)
    return { files: [], root: file.root, detail: 'The clock journal is of an earlier boot: nothing to restore.' }
  }
  const { root, entries } = file
  const failures: unknown[] = []
  const attempt = (action: () => void): void => {
    try {
      action()
    } catch (thrown) {
      failures.push(thrown)
    }
  }
  for (const group of groupByFolder(entries).values()) {
    for (const { path, original } of safeOrder(root, group)) {
      attempt(() => writeClock(root, path, Buffer.from(original, 'latin1')))
    }
  }
  if (failures.length === 0) for (const entry of entries) attempt(() => verify(root, entry))
  if (failures.length > 0) throw failures[0]
  removeJournal(journalPath)
  const files = entries.map(({ path, original }) => ({ path, value: original.trim() }))
  return { files, root, detail: `Put back ${files.length} clock files under ${root}.` }
}

function verify(root: string, { path, original }: JournalEntry): void {
  const full = join(root, path)
  const now = readBytes(full).toString('latin1')
  if (now === original) return
  const detail = `it was set to ${original.trim()} and reads ${now.trim()}`
  throw new DeapdError('clock_refused', { path: full, detail, kept: now.trim() })
}

/** A floor above the present cap, or a cap below the present floor, is refused or clamped: the cap goes first when it rises. */
function safeOrder(root: string, entries: readonly JournalEntry[]): readonly JournalEntry[] {
  const isCap = ({ path }: JournalEntry): boolean => path.endsWith('max_freq')
  const caps = entries.filter(isCap)
  const floors = entries.filter((entry) => !isCap(entry))
  const cap = caps[0]
  const rises = cap !== undefined && Number(cap.original) >= (readHz(join(root, cap.path)) ?? 0)
  return rises ? [...caps, ...floors] : [...floors, ...caps]
}

function groupByFolder(entries: readonly JournalEntry[]): Map<string, JournalEntry[]> {
  const groups = new Map<string, JournalEntry[]>()
  for (const entry of entries) {
    groups.set(dirname(entry.path), [...(groups.get(dirname(entry.path)) ?? []), entry])
  }
  return groups
}
