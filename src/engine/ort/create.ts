import type { Handle, Ort } from './api.ts'
import { shareArena, useShared } from './arena.ts'
import { type ProviderName, providers } from './providers.ts'

const ortLoggingWarning = 3
const optimise = { nothing: 0, everything: 99 } as const

/**
 * Threads spin for this long between two pieces of a run, because waking them costs more than most pieces; they stop at once
 * when the run ends, so that a paced or idle engine burns nothing.
 */
const spinMicroseconds = 100

/**
 * The library starts what it saves on a page border from this size on. Below, the kernel would find its parts elsewhere in
 * a mapped block than it put them (they lie on cache lines of memory, not of the block) and compute nonsense: those weights stay in
 * the graph file and are prepacked at every load.
 */
const smallestMappedBytes = 1 << 20

export interface SessionOptions {
  readonly provider?: ProviderName
  /** The file is a graph that `save` wrote: it is optimised, and its weights are prepacked and only mapped. */
  readonly prepacked?: boolean
  /** Writes the optimised graph here, and its prepacked weights beside it into the file `data`. */
  readonly save?: { readonly graph: string; readonly data: string }
  /** Intermediate results lie where those of other such sessions do, which must not run at the same time. */
  readonly sharedArena?: boolean
  /** Library of the operators that the graph uses beside the runtime's. */
  readonly operators?: string
}

/** A graph: a file, or its bytes and the folder that its weights are named from. */
export type Source = string | { readonly bytes: Uint8Array; readonly folder: string }

/** Makes a session and returns its handle. Throws `engine_failed`. */
export function createSession(
  ort: Ort,
  source: Source,
  threads: number,
  { provider = 'cpu', prepacked = false, save, sharedArena = false, operators }: SessionOptions,
  profilePrefix?: string,
): Handle {
  const env = ort.create('CreateEnv', ortLoggingWarning, 'deapd')
  const options = ort.create('CreateSessionOptions')
  ort.check('SetSessionLogSeverityLevel', options, ortLoggingWarning)
  ort.check('SetSessionGraphOptimizationLevel', options, prepacked ? optimise.nothing : optimise.everything)
  ort.check('SetIntraOpNumThreads', options, threads)
  if (sharedArena) {
    shareArena(ort, env)
    // A plan of the memory of every combination of shapes that was ever run would be kept as well.
    ort.check('DisableMemPattern', options)
  }
  const entries = {
    'session.intra_op.allow_spinning': '1',
    'session.intra_op.spin_duration_us': String(spinMicroseconds),
    'session.force_spinning_stop': '1',
    ...(sharedArena && { [useShared]: '1' }),
    ...(typeof source === 'object' && { 'session.model_external_initializers_file_folder_path': source.folder }),
    ...(save && {
      'session.save_external_prepacked_constant_initializers': '1',
      'session.optimized_model_external_initializers_file_name': save.data,
      'session.optimized_model_external_initializers_min_size_in_bytes': String(smallestMappedBytes),
    }),
  }
  for (const [key, value] of Object.entries(entries)) ort.check('AddSessionConfigEntry', options, key, value)
  if (save) ort.check('SetOptimizedModelFilePath', options, save.graph)
  if (operators !== undefined) ort.check('RegisterCustomOpsLibrary_V2', options, operators)
  if (profilePrefix !== undefined) ort.check('EnableProfiling', options, profilePrefix)
  providers[provider].append(ort, options)
  const session =
    typeof source === 'string'
      ? ort.create('CreateSession', env, source, options)
      : ort.create('CreateSessionFromArray', env, source.bytes, source.bytes.byteLength, options)
  ort.release('ReleaseSessionOptions', options)
  return session
}
