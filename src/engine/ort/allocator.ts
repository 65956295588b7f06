import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import koffi from 'koffi'

/** glibc's mallopt parameters (malloc.h). */
const [trimThreshold, mmapThreshold, arenaMax] = [-1, -3, -8]

/** From this size on a block is a mapping of its own, which goes back to the system the moment it is freed. */
const largeBytes = 1 << 18

let trim: ((pad: number) => number) | null = null
let done = false

/**
 * Makes the C library give large blocks back at once, for the rest of the process: by default it keeps what is freed
 * in it, up to tens of megabytes. Costs a few page faults a run. Other C libraries than glibc stay as they are.
 */
export function returnMemory(): void {
  if (done) return
  done = true
  try {
    const libc = koffi.load('libc.so.6')
    const mallopt = libc.func('mallopt', 'int', ['int', 'int'])
    trim = libc.func('malloc_trim', 'int', ['size_t'])
    mallopt(mmapThreshold, largeBytes)
    mallopt(trimThreshold, largeBytes)
    mallopt(arenaMax, 1)
  } catch {
    // No glibc: memory is a little higher, nothing else changes.
  }
}

/**
 * Collects garbage and gives it back, where much of it has come together: arrays outside the heap press so little on it that
 * it would wait for tens of megabytes of them, the more the more texts there are.
 */
export function tidy(): void {
  collect ??= exposed()
  collect()
  trim?.(0)
}

let collect: (() => void) | null = null

function exposed(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}
