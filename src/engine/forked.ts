import type { ForkOptions } from 'node:child_process'
import type { Manifest } from '../models/manifest.ts'
import { dataFile } from '../models/pipeline/workspace.ts'

/** From this size of the weights on a start spends much of its time on the first touch of memory. */
const largeBytes = 1e9

/** glibc (2.35 and newer) asks for huge pages for its heap: a 512th of the first touches. Others do not know it. */
const hugePages = 'glibc.malloc.hugetlb=1'

/** How the engine's process is started. */
export function forkOptions({ files }: Manifest, env: NodeJS.ProcessEnv = process.env): ForkOptions {
  const large = (files[dataFile]?.bytes ?? 0) >= largeBytes
  const tunables = [env.GLIBC_TUNABLES, large && hugePages].filter(Boolean).join(':')
  return {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // V8's reducer would collect garbage, of which there is little, whenever the engine rests: for 20 ms, often in an answer's first tokens.
    execArgv: [...process.execArgv, '--no-memory-reducer'],
    env: tunables === '' ? env : { ...env, GLIBC_TUNABLES: tunables },
  }
}
