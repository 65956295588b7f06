import koffi from 'koffi'

/** Numbers of the system call `sched_setattr`. */
const callNumbers: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 314, arm64: 274 }
/** struct sched_attr, version 0. */
const attributeBytes = 48
const sliceNanoseconds = 100_000_000n

/**
 * Asks for the longest slices there are, for this thread and those it will start. Kernels from 6.12 on let a thread that wakes
 * interrupt one of longer slices at once; before it would wait up to a tick (4 ms), however polite the other is. So tokens
 * and the governor do not wait for arithmetic that takes all cores. Other kernels ignore the wish, and it is no loss where
 * it is refused.
 */
export function askForLongSlices(niceness: number): void {
  const number = callNumbers[process.arch]
  if (process.platform !== 'linux' || number === undefined) return
  const attributes = Buffer.alloc(attributeBytes)
  attributes.writeUInt32LE(attributeBytes, 0)
  attributes.writeInt32LE(niceness, 16)
  attributes.writeBigUInt64LE(sliceNanoseconds, 24)
  const libc = koffi.load('libc.so.6')
  libc.func('long syscall(long number, int thread, void *attributes, unsigned int flags)')(number, 0, attributes, 0)
}
