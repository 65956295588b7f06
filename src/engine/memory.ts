import { readFileSync } from 'node:fs'
import type { ProcessMemory } from './protocol.ts'

/** Memory of a process from /proc; null when it is gone or not readable. */
export function processMemory(pid: number | null): ProcessMemory | null {
  if (pid === null) return null
  try {
    const kilobytes = (file: string, keys: readonly string[]): number =>
      readFileSync(`/proc/${pid}/${file}`, 'utf8')
        .split('\n')
        .filter((line) => keys.some((key) => line.startsWith(`${key}:`)))
        .reduce((sum, line) => sum + Number(line.match(/\d+/)?.[0] ?? 0), 0)
    return {
      peakBytes: kilobytes('status', ['VmHWM']) * 1024,
      privateBytes: kilobytes('smaps_rollup', ['Anonymous']) * 1024,
    }
  } catch {
    // Another operating system or user: the figure is unknown, which callers show as such.
    return null
  }
}
