import { DeapdError } from '../../errors.ts'
import type { Handle, Ort } from './api.ts'
import { createSession, type SessionOptions, type Source } from './create.ts'
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

const arenaAllocator = 1
const deviceAllocatorType = 0
const defaultMemory = 0

/** Opens a graph. `threads` is the number of intra-op threads. Throws `engine_failed`. */
export function openSession(ort: Ort, source: Source, threads: number, options: SessionOptions = {}): Session {
  const { provider = 'cpu' } = options
  const profile = provider === 'cpu' ? null : profileFolder()
  return sessionOver(ort, createSession(ort, source, threads, options, profile?.prefix), provider, profile)
}

/** What there is to do with a session that has been made. */
export function sessionOver(
  ort: Ort,
  session: Handle,
  provider: ProviderName = 'cpu',
  profile: ReturnType<typeof profileFolder> | null = null,
): Session {
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
