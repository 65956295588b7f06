import { join } from 'node:path'
import type { Conditions, MemoryState } from '../board/reading.ts'
import { readText } from './files.ts'

/** Pages of Linux on these boards; block sizes of /proc/buddyinfo are counted in them. */
const pageBytes = 4096

/** Memory from /proc/meminfo, and its largest free blocks from /proc/buddyinfo, as tegrastats' `lfb` has them. */
export function readMemory(root: string): Pick<Conditions, 'memory' | 'memoryReason'> {
  const info = readText(join(root, 'proc/meminfo'))
  const memory = info === undefined ? null : memoryOf(info, readText(join(root, 'proc/buddyinfo')))
  return { memory, memoryReason: memory === null ? `${join(root, 'proc/meminfo')} does not tell` : null }
}

export function memoryOf(meminfo: string, buddyinfo: string | undefined): MemoryState | null {
  const bytes = (name: string): number | undefined => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d{1,12}) kB`, 'm').exec(meminfo)?.[1]
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  }
  const [totalBytes, availableBytes] = [bytes('MemTotal'), bytes('MemAvailable')]
  if (totalBytes === undefined || availableBytes === undefined) return null
  return { totalBytes, availableBytes, ...largestBlocks(buddyinfo ?? '') }
}

/** Lines such as `Node 0, zone Normal 216 55 189 …`: free blocks of 1, 2, 4, … pages. */
function largestBlocks(buddyinfo: string): Pick<MemoryState, 'largestBlockBytes' | 'largestBlocks'> {
  const counts: number[] = []
  for (const [, list] of buddyinfo.matchAll(/^Node +\d+, +zone +\S+((?: +\d+)+) *$/gm)) {
    for (const [order, count] of list.trim().split(/ +/).entries()) counts[order] = (counts[order] ?? 0) + Number(count)
  }
  const order = counts.findLastIndex((count) => count > 0)
  if (order < 0) return { largestBlockBytes: null, largestBlocks: null }
  return { largestBlockBytes: pageBytes * 2 ** order, largestBlocks: counts[order] }
}
