import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DeapdError, detailOf } from '../../errors.ts'

/** The hidden folder in which a package grows until it is whole; it survives a kill, so that the import can go on. */
export interface Workspace {
  readonly folder: string
  /** The package that is to be. */
  readonly out: string
  /** Throws everything away: there is nothing to go on with. */
  discard(): void
  /** Makes the finished folder the package, all at once. */
  publish(): void
  release(): void
}

export const dataFile = 'model.onnx.data'
export const journalFile = 'import.jsonl'
const lockFile = 'import.lock'

/** Takes the folder beside `out` for this process. Throws `import_busy`, `output_unwritable` or `disk_full`. */
export function openWorkspace(out: string): Workspace {
  const folder = join(dirname(out), `.${basename(out)}.part`)
  const lock = join(folder, lockFile)
  try {
    mkdirSync(folder, { recursive: true })
    takeLock(lock, out)
  } catch (error) {
    throw writeError(error, out)
  }
  return {
    folder,
    out,
    discard: () => rmSync(folder, { recursive: true, force: true }),
    publish() {
      for (const name of [journalFile, lockFile]) rmSync(join(folder, name), { force: true })
      syncFolder(folder)
      try {
        renameSync(folder, out)
      } catch (error) {
        if (existsSync(out)) throw new DeapdError('output_exists', { path: out }, error)
        throw error
      }
      syncFolder(dirname(out))
    },
    release: () => rmSync(lock, { force: true }),
  }
}

function takeLock(lock: string, out: string): void {
  const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0
  if (holder > 0 && isAlive(holder)) throw new DeapdError('import_busy', { path: out, pid: holder, lock })
  rmSync(lock, { force: true })
  writeFileSync(lock, String(process.pid), { flag: 'wx' })
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, but belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

/** Refuses before the first byte what would not fit. Throws `disk_full`. */
export function checkRoom(folder: string, out: string, neededBytes: number): void {
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize < neededBytes) throw diskFull(out, neededBytes, bavail * bsize)
}

const diskFull = (path: string, neededBytes: number, freeBytes: number, cause?: unknown): DeapdError =>
  new DeapdError('disk_full', { path, neededBytes: neededBytes || 'some', freeBytes }, cause)

/** What a failed write means to the user; other errors come back as they are. */
export function writeError(error: unknown, out: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const { bavail, bsize } = statfsSync(dirname(out))
    return diskFull(out, 0, bavail * bsize, error)
  }
  if (code !== undefined && ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EIO'].includes(code)) {
    return new DeapdError('output_unwritable', { path: out, detail: detailOf(error) }, error)
  }
  return error
}
