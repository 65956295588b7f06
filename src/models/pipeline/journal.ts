import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'

/**
 * What of a half-made package is finished: one line of JSON per part, appended when the part is in the file. The first line
 * names the import; a line that was cut off by a kill counts as not there.
 */
export interface Journal {
  /** Nothing of this import was written before. */
  readonly isNew: boolean
  /** sha256 by part. */
  readonly finished: ReadonlyMap<string, string>
  add(part: string, sha256: string): void
  close(): void
}

/** Opens the journal of the import that `key` identifies; one of another import is begun anew. */
export function openJournal(path: string, key: string): Journal {
  const [head, ...lines] = existsSync(path) ? readLines(path) : []
  const known = head?.key === key
  const fd = openSync(path, known ? 'a' : 'w')
  // After a kill the last line may be half a line: the next one must not be glued to it.
  writeSync(fd, known ? '\n' : `${JSON.stringify({ key })}\n`)
  return {
    isNew: !known,
    finished: new Map(known ? lines.map(({ part, sha256 }) => [part, sha256]) : []),
    add: (part, sha256) => {
      writeSync(fd, `${JSON.stringify({ part, sha256 })}\n`)
    },
    close: () => closeSync(fd),
  }
}

function readLines(path: string): Record<string, string>[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line)]
      } catch {
        return []
      }
    })
}
