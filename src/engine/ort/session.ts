import { DeapdError } from '../../errors.ts'
import type { Handle, Ort } from './api.ts'
import { shareArena, useShared } from './arena.ts'
import { type Placement, profileFolder } from './placement.ts'
import { type ProviderName, providers } from './providers.ts'

/** ONNX element types we bind (onnxruntime_c_api.h, ONNXTensorElementDataType). */
const elementTypes = { float32: 1, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const
export type ElementType = keyof typeof elementTypes

type Data = Float32Array | Int8Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array

/** Anything that can be tied to an input or an output, in host or in device memory. */
export interface Bound {
  readonly handle: Handle
}

/** A tensor over memory that JavaScript owns: written and read in place, never copied. */
export interface Tensor extends Bound {
  readonly data: Data
  readonly shape: readonly number[]
}

/** Inputs and outputs tied to a session once and run many times. */
export interface Binding {
  input(name: string, tensor: Bound): void
  output(name: string, tensor: Bound): void
  run(): void
  close(): void
}

export interface Session {
  tensor(type: ElementType, shape: readonly number[], data: Data): Tensor
  /** A tensor in the provider's own memory, with whatever was there; null when that is ordinary memory. */
  readonly deviceTensor: ((type: ElementType, shape: readonly number[]) => Bound) | null
  releaseTensor(tensor: Bound): void
  bind(): Binding
  /**
   * Where the kernels of all runs so far ran: a provider is proven, not assumed. Can be asked once, because watching costs
   * time; nothing is recorded on the CPU, which has nobody to fall back on.
   */
  placement(): Placement
  close(): void
}

const ortLoggingWarning = 3
const optimise = { nothing: 0, everything: 99 } as const
const arenaAllocator = 1
const deviceAllocatorType = 0
const defaultMemory = 0

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
  /** True, the default: attention goes over keys and values in tiles, false: over all of them at once. */
  readonly flashAttention?: boolean
}

/** A switch of the library's, looked at when the kernels of a session are made. */
const noFlashAttention = 'ORT_GQA_DISABLE_FLASH_ATTENTION'

/** Does something while an environment variable is 1. */
function withSwitch<T>(name: string | undefined, make: () => T): T {
  if (name === undefined) return make()
  const before = process.env[name]
  process.env[name] = '1'
  try {
    return make()
  } finally {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
}

/** Loads a model file. `threads` is the number of intra-op threads. Throws `engine_failed`. */
export function openSession(
  ort: Ort,
  modelPath: string,
  threads: number,
  { provider = 'cpu', prepacked = false, save, sharedArena = false, flashAttention = true }: SessionOptions = {},
): Session {
  const profile = provider === 'cpu' ? null : profileFolder()
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
    ...(save && {
      'session.save_external_prepacked_constant_initializers': '1',
      'session.optimized_model_external_initializers_file_name': save.data,
      'session.optimized_model_external_initializers_min_size_in_bytes': String(smallestMappedBytes),
    }),
  }
  for (const [key, value] of Object.entries(entries)) ort.check('AddSessionConfigEntry', options, key, value)
  if (save) ort.check('SetOptimizedModelFilePath', options, save.graph)
  if (profile) ort.check('EnableProfiling', options, profile.prefix)
  providers[provider].append(ort, options)
  const session = withSwitch(flashAttention ? undefined : noFlashAttention, () =>
    ort.create('CreateSession', env, modelPath, options),
  )
  ort.release('ReleaseSessionOptions', options)
  const memory = ort.create('CreateCpuMemoryInfo', arenaAllocator, defaultMemory)
  const device = deviceAllocator(ort, session, provider)

  return {
    tensor(type, shape, data) {
      const dims = BigInt64Array.from(shape, BigInt)
      const handle = ort.create(
        'CreateTensorWithDataAsOrtValue',
        memory,
        data,
        data.byteLength,
        dims,
        shape.length,
        elementTypes[type],
      )
      return { data, shape, handle }
    },
    deviceTensor: device === null ? null : (type, shape) => deviceTensor(ort, device, type, shape),
    releaseTensor: (tensor) => ort.release('ReleaseValue', tensor.handle),
    placement() {
      if (!profile) return {}
      const allocator = ort.create('GetAllocatorWithDefaultOptions')
      const name = ort.create('SessionEndProfiling', session, allocator)
      ort.check('AllocatorFree', allocator, name)
      return profile.take()
    },
    bind() {
      const binding = ort.create('CreateIoBinding', session)
      // The bound tensors' memory belongs to JavaScript and must stay reachable as long as the binding may run.
      const inputs = new Map<string, Bound>()
      const outputs = new Map<string, Bound>()
      const bindInput = (name: string, { handle }: Bound): void => ort.check('BindInput', binding, name, handle)
      return {
        input(name, tensor) {
          inputs.set(name, tensor)
          bindInput(name, tensor)
        },
        output(name, tensor) {
          outputs.set(name, tensor)
          ort.check('BindOutput', binding, name, tensor.handle)
        },
        run() {
          // A host tensor is copied to the device when it is bound, so new contents must be bound again.
          if (device !== null) for (const [name, tensor] of inputs) if ('data' in tensor) bindInput(name, tensor)
          ort.check('RunWithBinding', session, null, binding)
        },
        close: () => {
          ort.release('ReleaseIoBinding', binding)
          inputs.clear()
          outputs.clear()
        },
      }
    },
    close() {
      if (device) ort.release('ReleaseAllocator', device)
      ort.release('ReleaseSession', session)
    },
  }
}

/** The allocator of the provider's memory, whose name has changed between releases; null for ordinary memory. */
function deviceAllocator(ort: Ort, session: Handle, provider: ProviderName): Handle {
  const { memories } = providers[provider]
  if (!memories) return null
  for (const name of memories) {
    const info = ort.create('CreateMemoryInfo', name, deviceAllocatorType, 0, defaultMemory)
    try {
      return ort.create('CreateAllocator', session, info)
    } catch (error) {
      if (name === memories[memories.length - 1]) throw error
    } finally {
      ort.release('ReleaseMemoryInfo', info)
    }
  }
  throw new DeapdError('engine_failed', { detail: `${provider} names no memory` })
}

function deviceTensor(ort: Ort, allocator: Handle, type: ElementType, shape: readonly number[]): Bound {
  const dims = BigInt64Array.from(shape, BigInt)
  return { handle: ort.create('CreateTensorAsOrtValue', allocator, dims, shape.length, elementTypes[type]) }
}
