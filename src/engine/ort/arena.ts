import type { Handle, Ort } from './api.ts'

/** The session's setting that makes it take memory where the environment says. */
export const useShared = 'session.use_env_allocators'

const arenaAllocator = 1
const defaultMemory = 0
const doubling = 0
const noLimit = 0

/** Address space that the arena begins with: more than a small model needs. Of it only what was written to takes memory, and 1/32 for the books. */
const firstBytes = 8 << 20

/** Rests of a free block are always left to others: by default up to 128 MB of them would lie idle in a tensor that is alive. */
const keptRestBytes = 1 << 12

const registered = new WeakSet<Ort>()

/**
 * Registers one arena for all sessions that ask for it, for the rest of the process. They run one after the other, so that it holds what
 * the largest run needs and no more: an arena each adds up, and none at all leaves holes in the C library's heap, which came to several times as much.
 */
export function shareArena(ort: Ort, environment: Handle): void {
  if (registered.has(ort)) return
  registered.add(ort)
  const memory = ort.create('CreateCpuMemoryInfo', arenaAllocator, defaultMemory)
  const settings = ort.create('CreateArenaCfg', noLimit, doubling, firstBytes, keptRestBytes)
  try {
    ort.check('CreateAndRegisterAllocator', environment, memory, settings)
  } finally {
    ort.release('ReleaseArenaCfg', settings)
    ort.release('ReleaseMemoryInfo', memory)
  }
}
