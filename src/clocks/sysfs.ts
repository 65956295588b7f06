import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeSync,
} from 'node:fs'
import { basename, join, sep } from 'node:path'
import { DeapdError, detailOf } from '../errors.ts'

/** The only files deapd ever writes under a root: caps and floors of GPU and CPU clocks, and which cores are on. */
const allowed = [
  /^sys\/class\/devfreq\/[\w.:@-]+\/(min|max)_freq$/,
  /^sys\/devices\/(platform\/)?(bus@0\/)?[\w.]+\/devfreq\/[\w.:@-]+\/(min|max)_freq$/,
  /^sys\/devices\/system\/cpu\/cpufreq\/policy\d+\/scaling_(min|max)_freq$/,
  // Never cpu0: the kernel cannot take it offline, and something has to run us.
  /^sys\/devices\/system\/cpu\/cpu[1-9]\d*\/online$/,
]

export function isClockFile(path: string): boolean {
  return !path.split('/').includes('..') && allowed.some((pattern) => pattern.test(path))
}

/** The full path of a clock file that may be written; throws for any other, also when a link leads out of the tree's sys. */
export function writable(root: string, path: string): string {
  if (!isClockFile(path)) throw new Error(`${path} is not a clock file`)
  const full = join(root, path)
  const sys = join(realpathSync(root), 'sys') + sep
  const real = realpathSync(full)
  if (!real.startsWith(sys)) throw new Error(`${path} leads out of ${sys}`)
  if (basename(real) !== basename(path)) throw new Error(`${path} is another name of ${basename(real)}`)
  return full
}

export function readBytes(path: string): Buffer {
  return readFileSync(path)
}

/** A number from a clock file, or undefined. */
export function readHz(path: string): number | undefined {
  const text = readTextFile(path)
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

export function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').split('\n', 1)[0].replaceAll('\0', '').trim()
  } catch {
    return undefined
  }
}

/** Ascending numbers of a list file such as `available_frequencies`. */
export function readList(path: string): readonly number[] {
  const words = readTextFile(path)?.split(/\s+/) ?? []
  return words
    .filter((word) => /^\d+$/.test(word))
    .map(Number)
    .sort((a, b) => a - b)
}

export function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path).sort()
  } catch {
    return []
  }
}

export const isThere = (root: string, path: string): boolean => existsSync(join(root, path))

/** Writes an allow-listed clock file; a refusal (EACCES, EBUSY, EINVAL, …) says what the clock stays at. */
export function writeClock(root: string, path: string, content: string | Buffer): void {
  try {
    overwrite(writable(root, path), Buffer.from(content as string))
  } catch (thrown) {
    const kept = readTextFile(join(root, path)) ?? 'an unknown value'
    throw new DeapdError('clock_refused', { path: join(root, path), detail: detailOf(thrown), kept }, thrown)
  }
}

/**
 * One write at the start of the file, without O_TRUNC and without O_CREAT: in a tree of plain files a reader, or we after a
 * crash, must never find it empty. What an older, longer value leaves behind is cut off afterwards; sysfs has no such rest.
 */
function overwrite(full: string, content: Buffer): void {
  const descriptor = openSync(full, 'r+')
  try {
    const before = readFileSync(descriptor).length
    writeSync(descriptor, content, 0, content.length, 0)
    if (before > content.length && fstatSync(descriptor).size === before) ftruncateSync(descriptor, content.length)
  } finally {
    closeSync(descriptor)
  }
}

export function unreadable(path: string): DeapdError {
  return new DeapdError('clock_refused', { path, detail: 'it cannot be read', kept: 'an unknown value' })
}

/** Changes at every start of the kernel; null for trees without one. */
export function bootId(root: string): string | null {
  return readTextFile(join(root, 'proc/sys/kernel/random/boot_id')) ?? null
}
