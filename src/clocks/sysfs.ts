import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { DeapdError, detailOf } from '../errors.ts'

/** The only files deapd ever writes under a root: the caps and floors of GPU and CPU clocks. */
const allowed = [
  /^sys\/class\/devfreq\/[\w.:@-]+\/(min|max)_freq$/,
  /^sys\/devices\/system\/cpu\/cpufreq\/policy\d+\/scaling_(min|max)_freq$/,
]

export function isClockFile(path: string): boolean {
  return allowed.some((pattern) => pattern.test(path))
}

/** The full path of a clock file that may be written; throws for any other, also when a link leads out of the root. */
export function writable(root: string, path: string): string {
  if (!isClockFile(path)) throw new Error(`${path} is not a clock file`)
  const full = join(root, path)
  const base = realpathSync(root)
  const real = realpathSync(full)
  if (base !== sep && !real.startsWith(base + sep)) throw new Error(`${path} leads out of ${root}`)
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

/** Writes an allow-listed clock file; a refusal says what the clock stays at. */
export function writeClock(root: string, path: string, content: string | Buffer): void {
  try {
    writeFileSync(writable(root, path), content)
  } catch (thrown) {
    const kept = readTextFile(join(root, path)) ?? 'an unknown value'
    throw new DeapdError('clock_refused', { path: join(root, path), detail: detailOf(thrown), kept }, thrown)
  }
}

export function unreadable(path: string): DeapdError {
  return new DeapdError('clock_refused', { path, detail: 'it cannot be read', kept: 'an unknown value' })
}

/** Changes at every start of the kernel; null for trees without one. */
export function bootId(root: string): string | null {
  return readTextFile(join(root, 'proc/sys/kernel/random/boot_id')) ?? null
}
