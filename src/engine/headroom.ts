import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DeapdError } from '../errors.ts'

/** Memory that can still be had, in bytes; null where this system does not say. */
export interface Headroom {
  /** The kernel's estimate of what can be taken without swapping. */
  readonly availableBytes: number | null
  /** What the tightest control group above this process still allows. */
  readonly cgroupBytes: number | null
}

/** Free memory left to everything else, the governor first. */
const reserveBytes = 256e6

/** Reads `/proc/meminfo` and the limits of this process's control groups under `root` (`/` unless a test says otherwise). */
export function readHeadroom(root = '/'): Headroom {
  const meminfo = read(join(root, 'proc/meminfo'))
  const available = meminfo?.match(/^MemAvailable:\s*(\d+) kB$/m)
  return { availableBytes: available ? Number(available[1]) * 1024 : null, cgroupBytes: cgroupRoom(root) }
}

/** cgroup v2, from this process's group up to the root: the least of limit − use. The page cache in it can be given up. */
function cgroupRoom(root: string): number | null {
  const group = read(join(root, 'proc/self/cgroup'))?.match(/^0::(.*)$/m)?.[1]
  if (group === undefined) return null
  const parts = group.split('/').filter((part) => part !== '')
  const rooms = Array.from({ length: parts.length + 1 }, (_, i) => {
    const folder = join(root, 'sys/fs/cgroup', ...parts.slice(0, i))
    const limit = Number(read(join(folder, 'memory.max')))
    const current = Number(read(join(folder, 'memory.current')))
    const cached = Number(read(join(folder, 'memory.stat'))?.match(/^inactive_file (\d+)$/m)?.[1] ?? 0)
    return limit > 0 && current > 0 ? limit - current + cached : Number.POSITIVE_INFINITY
  })
  const least = Math.min(...rooms)
  return Number.isFinite(least) ? Math.max(0, least) : null
}

/**
 * Largest block of free physical memory, from /proc/buddyinfo: on a Jetson GPU and CPU share memory, and a device allocation
 * wants large pieces of it. Null where the file is missing.
 */
export function largestFreeBlock(root = '/', pageBytes = 4096): number | null {
  const lines = read(join(root, 'proc/buddyinfo'))?.trim().split('\n') ?? []
  const orders = lines.map((line) =>
    line
      .replace(/^.*zone\s+\S+/, '')
      .trim()
      .split(/\s+/)
      .findLastIndex((n) => Number(n) > 0),
  )
  const highest = Math.max(-1, ...orders)
  return highest < 0 ? null : pageBytes * 2 ** highest
}

/** What can be taken now: the tighter of both limits, less the reserve; null when neither is known. */
export function roomBytes({ availableBytes, cgroupBytes }: Headroom): number | null {
  if (availableBytes === null && cgroupBytes === null) return null
  const least = Math.min(availableBytes ?? Number.POSITIVE_INFINITY, cgroupBytes ?? Number.POSITIVE_INFINITY)
  return Math.max(0, least - reserveBytes)
}

/** Throws `memory_short` with the numbers when `neededBytes` for `what` are known not to be there. */
export function requireRoom(what: string, neededBytes: number, headroom = readHeadroom()): void {
  const room = roomBytes(headroom)
  if (room === null || neededBytes <= room) return
  throw short(what, neededBytes, room, largestFreeBlock())
}

/** A Tegra GPU maps memory in big pages of 64 or 128 KiB: where no block is that large, its driver fails or crawls. */
const bigPageBytes = 128 * 1024

/**
 * Throws `memory_short` when this is a Jetson whose free memory lies in crumbs (hardware.md §5: a big load then fails although
 * enough is free). For a GPU only; a CPU takes any page.
 */
export function requireBlocks(what: string, neededBytes: number, root = '/'): void {
  if (!read(join(root, 'proc/device-tree/compatible'))?.includes('nvidia,tegra')) return
  const block = largestFreeBlock(root)
  if (block !== null && block < bigPageBytes) throw short(what, neededBytes, roomBytes(readHeadroom(root)) ?? 0, block)
}

function short(what: string, neededBytes: number, room: number, block: number | null): DeapdError {
  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2)
  const size = (bytes: number): string =>
    bytes < 2 ** 20 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / 2 ** 20)} MiB`
  return new DeapdError('memory_short', {
    what,
    neededGb: gigabytes(neededBytes),
    freeGb: gigabytes(room),
    largestBlock: block === null ? 'unknown' : size(block),
  })
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Not Linux, or no such control group: the limit is unknown, which callers treat as no limit.
    return null
  }
}
