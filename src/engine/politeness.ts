import { readdirSync } from 'node:fs'
import { setPriority } from 'node:os'
import koffi from 'koffi'

/** Numbers of the system call `sched_setattr`. */
const callNumbers: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 314, arm64: 274 }
/** struct sched_attr, version 0. */
const attributeBytes = 48
const sliceNanoseconds = 100_000_000n

/**
 * Makes all threads of this process, and those they will start, as polite as `niceness` says (0 is ordinary). Linux keeps
 * that for each thread, and the runtime's own, which collect garbage and compile, are older than any line of ours.
 */
export function yieldCores(niceness: number): void {
  setPriority(niceness)
  if (process.platform !== 'linux') return
  const threads = readdirSync('/proc/self/task').map(Number)
  for (const thread of threads) setPriority(thread, niceness)
  askForLongSlices(threads, niceness)
}

/**
 * Asks for the longest slices there are. Kernels from 6.12 on let a thread that wakes interrupt one of longer slices at
 * once; before it would wait up to a tick (4 ms), however polite the other is. So tokens and the governor do not wait for
 * arithmetic that takes all cores. Other kernels ignore the wish, and it is no loss where it is refused.
 */
function askForLongSlices(threads: readonly number[], niceness: number): void {
  const number = callNumbers[process.arch]
  if (number === undefined) return
  const attributes = Buffer.alloc(attributeBytes)
  attributes.writeUInt32LE(attributeBytes, 0)
  attributes.writeInt32LE(niceness, 16)
  attributes.writeBigUInt64LE(sliceNanoseconds, 24)
  const syscall = koffi
    .load('libc.so.6')
    .func('long syscall(long number, int thread, void *attributes, unsigned int flags)')
  for (const thread of threads) syscall(number, thread, attributes, 0)
}
