import { existsSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DeapdError } from '../errors.ts'
import { isFromAnotherBoot, type JournalEntry, readJournal, removeJournal, writeJournal } from './journal.ts'
import { readBytes, readHz, writeClock } from './sysfs.ts'

export interface Restored {
  /** Files that were put back, relative to `root`, with the value they have again. */
  readonly files: readonly { readonly path: string; readonly value: string }[]
  /** Null when there was no journal. */
  readonly root: string | null
  /** One sentence for the command line and the log. */
  readonly detail: string
}

/** A cap can lag behind a write (a hot board holds it down, a cluster comes back): looked at again before it is a failure. */
const verifyTries = 4
const verifyPauseMs = 50

/**
 * Puts every journalled clock back, reads it back and removes the journal. Nothing to do is success; doing it twice is
 * doing it once. Throws `journal_damaged` before anything is touched; or `clock_refused` for the first clock that did not
 * come back, with all others restored and the journal kept for what is left, so that it can be tried again.
 */
export function restore(journalPath: string): Restored {
  const file = readJournal(journalPath)
  if (file === undefined) {
    if (existsSync(dirname(journalPath))) removeJournal(journalPath)
    return { files: [], root: null, detail: 'There is no clock journal: nothing to restore.' }
  }
  const { root, entries } = file
  if (isFromAnotherBoot(file)) {
    removeJournal(journalPath)
    return { files: [], root, detail: 'The clock journal is of an earlier boot: nothing to restore.' }
  }
  if (!existsSync(root)) {
    const kept = `${journalPath}.orphan`
    renameSync(journalPath, kept)
    removeJournal(journalPath)
    return { files: [], root, detail: `The clock journal is of ${root}, which is gone; it was kept as ${kept}.` }
  }
  const { left, failure } = putBack(root, entries)
  if (failure !== undefined) {
    if (left.length < entries.length) writeJournal(journalPath, { ...file, entries: left })
    throw failure
  }
  removeJournal(journalPath)
  const files = entries.map(({ path, original }) => ({ path, value: original.trim() }))
  return { files, root, detail: `Put back ${files.length} clock files under ${root}.` }
}

/** Writes these originals and reads them back; what did not come back is left, with the first reason. */
export function putBack(
  root: string,
  entries: readonly JournalEntry[],
): { readonly left: readonly JournalEntry[]; readonly failure?: unknown } {
  const refusals = new Map<JournalEntry, unknown>()
  for (const entry of safeOrder(root, entries)) {
    try {
      writeClock(root, entry.path, Buffer.from(entry.original, 'latin1'))
    } catch (thrown) {
      refusals.set(entry, thrown)
    }
  }
  const differing = () => entries.filter((entry) => !refusals.has(entry) && contentOf(root, entry) !== entry.original)
  for (let tries = 1; tries < verifyTries && differing().length > 0; tries += 1) pause(verifyPauseMs)
  for (const entry of differing()) refusals.set(entry, notBack(root, entry))
  const [failure] = refusals.values()
  return { left: entries.filter((entry) => refusals.has(entry)), failure }
}

function contentOf(root: string, { path }: JournalEntry): string | undefined {
  try {
    return readBytes(join(root, path)).toString('latin1')
  } catch {
    return undefined
  }
}

function notBack(root: string, entry: JournalEntry): DeapdError {
  const kept = contentOf(root, entry)?.trim() ?? 'an unknown value'
  const detail = `it was set to ${entry.original.trim()} and reads ${kept}`
  return new DeapdError('clock_refused', { path: join(root, entry.path), detail, kept })
}

/**
 * Cores that were online come first: an offline cluster has no clock files. Then each clock's cap and floor, the cap
 * before its floor when it rises, for a floor above the cap is refused or clamped. Cores that were offline go last.
 */
function safeOrder(root: string, entries: readonly JournalEntry[]): readonly JournalEntry[] {
  const isSwitch = ({ path }: JournalEntry): boolean => path.endsWith('/online')
  const switches = entries.filter(isSwitch)
  const clocks = [...groupByFolder(entries.filter((entry) => !isSwitch(entry))).values()]
  const wasOn = ({ original }: JournalEntry): boolean => original.trim() === '1'
  return [
    ...switches.filter(wasOn),
    ...clocks.flatMap((group) => capAndFloor(root, group)),
    ...switches.filter((entry) => !wasOn(entry)),
  ]
}

function capAndFloor(root: string, entries: readonly JournalEntry[]): readonly JournalEntry[] {
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

/** Restoring is the last thing a process does: it may block. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
