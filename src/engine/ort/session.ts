import type { Handle, Ort } from './api.ts'

/** ONNX element types we bind (onnxruntime_c_api.h, ONNXTensorElementDataType). */
const elementTypes = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 } as const
export type ElementType = keyof typeof elementTypes

type Data = Float32Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array

/** A tensor over memory that JavaScript owns: written and read in place, never copied. */
export interface Tensor {
  readonly data: Data
  readonly shape: readonly number[]
  readonly handle: Handle
}

/** Inputs and outputs tied to a session once and run many times. */
export interface Binding {
  input(name: string, tensor: Tensor): void
  output(name: string, tensor: Tensor): void
  run(): void
  close(): void
}

export interface Session {
  tensor(type: ElementType, shape: readonly number[], data: Data): Tensor
  releaseTensor(tensor: Tensor): void
  bind(): Binding
  close(): void
}

const ortLoggingWarning = 3
const optimiseAll = 99
const arenaAllocator = 1
const defaultMemory = 0

/** Loads a model file. `threads` is the number of intra-op threads. Throws `engine_failed`. */
export function openSession(ort: Ort, modelPath: string, threads: number): Session {
  const env = ort.create('CreateEnv', ortLoggingWarning, 'deapd')
  const options = ort.create('CreateSessionOptions')
  ort.check('SetSessionLogSeverityLevel', options, ortLoggingWarning)
  ort.check('SetSessionGraphOptimizationLevel', options, optimiseAll)
  ort.check('SetIntraOpNumThreads', options, threads)
  // Spinning threads would burn watts between tokens, which a paced or idle engine has many of.
  ort.check('AddSessionConfigEntry', options, 'session.intra_op.allow_spinning', '0')
  const session = ort.create('CreateSession', env, modelPath, options)
  ort.release('ReleaseSessionOptions', options)
  const memory = ort.create('CreateCpuMemoryInfo', arenaAllocator, defaultMemory)

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
    releaseTensor: (tensor) => ort.release('ReleaseValue', tensor.handle),
    bind() {
      const binding = ort.create('CreateIoBinding', session)
      // The bound tensors' memory belongs to JavaScript and must stay reachable as long as the binding may run.
      const kept = new Map<string, Tensor>()
      const keep = (call: 'BindInput' | 'BindOutput', name: string, tensor: Tensor): void => {
        kept.set(name, tensor)
        ort.check(call, binding, name, tensor.handle)
      }
      return {
        input: (name, tensor) => keep('BindInput', name, tensor),
        output: (name, tensor) => keep('BindOutput', name, tensor),
        run: () => ort.check('RunWithBinding', session, null, binding),
        close: () => {
          ort.release('ReleaseIoBinding', binding)
          kept.clear()
        },
      }
    },
    close: () => ort.release('ReleaseSession', session),
  }
}
