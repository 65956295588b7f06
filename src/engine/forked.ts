import type { ForkOptions } from 'node:child_process'
import koffi from 'koffi'
import type { Manifest } from '../models/manifest.ts'
import { dataFile } from '../models/pipeline/workspace.ts'

/** From this size of the weights on a start spends much of its time on the first touch of memory. */
const largeBytes = 1e9

/** glibc (2.35 and newer) asks for huge pages for its heap: a 512th of the first touches. Others do not know it. */
const hugePages = 'glibc.malloc.hugetlb=1'

/** All threads take large blocks from one heap, and what is freed stays in it for the next: every weight is packed into a block of its own. */
const oneHeap = [
  'glibc.malloc.arena_max=1',
  `glibc.malloc.mmap_threshold=${2 ** 30}`,
  `glibc.malloc.trim_threshold=${2 ** 32}`,
]

/** linux/prctl.h */
const setHugePagesDisabled = 41

/** malloc.h, and what glibc itself would have arrived at after such blocks. */
const [trimThreshold, mmapThreshold] = [-1, -3]
const usual = { trimBytes: 64 << 20, mmapBytes: 32 << 20 }

/** How the engine's process is started. */
export function forkOptions({ files }: Manifest, env: NodeJS.ProcessEnv = process.env): ForkOptions {
  const large = process.platform === 'linux' && (files[dataFile]?.bytes ?? 0) >= largeBytes
  const tunables = [...(large ? [hugePages, ...oneHeap] : []), env.GLIBC_TUNABLES].filter(Boolean).join(':')
  return {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // V8's reducer would collect garbage, of which there is little, whenever the engine rests: for 20 ms, often in an answer's first tokens.
    execArgv: [...process.execArgv, '--no-memory-reducer'],
    env: tunables === '' ? env : { ...env, GLIBC_TUNABLES: tunables },
  }
}

/**
 * Once it has started that process gives back what is free in its heap and gets small pages: a cache of keys and values should take no
 * memory where nothing was written, and there a huge page would hold four heads of all positions of a 7B's context.
 */
export function settleMemory(env: NodeJS.ProcessEnv = process.env): void {
  if (!env.GLIBC_TUNABLES?.includes(hugePages)) return
  const libc = koffi.load('libc.so.6')
  const prctl = libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)')
  const mallopt = libc.func('int mallopt(int parameter, int value)')
  const trim = libc.func('int malloc_trim(size_t pad)')
  prctl(setHugePagesDisabled, 1, 0, 0, 0)
  mallopt(mmapThreshold, usual.mmapBytes)
  mallopt(trimThreshold, usual.trimBytes)
  trim(0)
}
