import type { ForkOptions } from 'node:child_process'
import koffi from 'koffi'
import type { Manifest } from '../models/manifest.ts'
import { dataFile } from '../models/pipeline/workspace.ts'

/** From this size of the weights on a start spends much of its time on the first touch of memory. */
const largeBytes = 1e9

/** glibc (2.35 and newer) asks for huge pages for its heap: a 512th of the first touches. Others do not know it. */
const hugePages = 'glibc.malloc.hugetlb=1'

/** linux/prctl.h */
const setHugePagesDisabled = 41

/** How the engine's process is started. */
export function forkOptions({ files }: Manifest, env: NodeJS.ProcessEnv = process.env): ForkOptions {
  const large = process.platform === 'linux' && (files[dataFile]?.bytes ?? 0) >= largeBytes
  const tunables = [env.GLIBC_TUNABLES, large && hugePages].filter(Boolean).join(':')
  return {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // V8's reducer would collect garbage, of which there is little, whenever the engine rests: for 20 ms, often in an answer's first tokens.
    execArgv: [...process.execArgv, '--no-memory-reducer'],
    env: tunables === '' ? env : { ...env, GLIBC_TUNABLES: tunables },
  }
}

/**
 * From here on that process gets small pages: a cache of keys and values should take no memory where nothing was written, and
 * there a huge page would hold four heads of all positions of a 7B's context.
 */
export function keepPagesSmall(env: NodeJS.ProcessEnv = process.env): void {
  if (!env.GLIBC_TUNABLES?.includes(hugePages)) return
  const prctl = koffi
    .load('libc.so.6')
    .func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)')
  prctl(setHugePagesDisabled, 1, 0, 0, 0)
}
