import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import koffi from 'koffi'
import { DeapdError, detailOf } from '../../errors.ts'

/** Oldest ONNX Runtime whose header the slot numbers below were taken from; the table only ever grows at its end. */
const oldestVersion = '1.17'
const apiVersion = 17

const pointer = 'void *'

/**
 * The functions we use: place in the OrtApi table (onnxruntime_c_api.h), result and arguments. All but the Release functions
 * return an OrtStatus pointer, null on success. Out parameters are one-element arrays.
 */
const slots = {
  GetErrorMessage: [2, 'str', [pointer]],
  CreateEnv: [3, pointer, ['int', 'str', '_Out_ void **']],
  CreateSession: [7, pointer, [pointer, 'str', pointer, '_Out_ void **']],
  CreateSessionFromArray: [8, pointer, [pointer, pointer, 'size_t', pointer, '_Out_ void **']],
  CreateSessionOptions: [10, pointer, ['_Out_ void **']],
  SetOptimizedModelFilePath: [11, pointer, [pointer, 'str']],
  EnableProfiling: [14, pointer, [pointer, 'str']],
  DisableMemPattern: [17, pointer, [pointer]],
  DisableCpuMemArena: [19, pointer, [pointer]],
  SetSessionLogSeverityLevel: [22, pointer, [pointer, 'int']],
  SetSessionGraphOptimizationLevel: [23, pointer, [pointer, 'int']],
  SetIntraOpNumThreads: [24, pointer, [pointer, 'int']],
  CreateTensorAsOrtValue: [48, pointer, [pointer, 'int64_t *', 'size_t', 'int', '_Out_ void **']],
  CreateTensorWithDataAsOrtValue: [
    49,
    pointer,
    [pointer, pointer, 'size_t', 'int64_t *', 'size_t', 'int', '_Out_ void **'],
  ],
  CreateMemoryInfo: [68, pointer, ['str', 'int', 'int', 'int', '_Out_ void **']],
  CreateCpuMemoryInfo: [69, pointer, ['int', 'int', '_Out_ void **']],
  AllocatorFree: [76, pointer, [pointer, pointer]],
  GetAllocatorWithDefaultOptions: [78, pointer, ['_Out_ void **']],
  ReleaseStatus: [93, 'void', [pointer]],
  ReleaseMemoryInfo: [94, 'void', [pointer]],
  ReleaseSession: [95, 'void', [pointer]],
  ReleaseValue: [96, 'void', [pointer]],
  ReleaseSessionOptions: [100, 'void', [pointer]],
  SessionEndProfiling: [110, pointer, [pointer, pointer, '_Out_ void **']],
  GetAvailableProviders: [125, pointer, ['_Out_ void **', '_Out_ int *']],
  ReleaseAvailableProviders: [126, pointer, [pointer, 'int']],
  AddSessionConfigEntry: [130, pointer, [pointer, 'str', 'str']],
  CreateAllocator: [131, pointer, [pointer, pointer, '_Out_ void **']],
  ReleaseAllocator: [132, 'void', [pointer]],
  RunWithBinding: [133, pointer, [pointer, pointer, pointer]],
  CreateIoBinding: [134, pointer, [pointer, '_Out_ void **']],
  ReleaseIoBinding: [135, 'void', [pointer]],
  BindInput: [136, pointer, [pointer, 'str', pointer]],
  BindOutput: [137, pointer, [pointer, 'str', pointer]],
  CreateAndRegisterAllocator: [144, pointer, [pointer, pointer, pointer]],
  CreateArenaCfg: [156, pointer, ['size_t', 'int', 'int', 'int', '_Out_ void **']],
  ReleaseArenaCfg: [157, 'void', [pointer]],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, pointer, [pointer, pointer]],
  CreateCUDAProviderOptions: [205, pointer, ['_Out_ void **']],
  UpdateCUDAProviderOptions: [206, pointer, [pointer, 'str *', 'str *', 'size_t']],
  ReleaseCUDAProviderOptions: [208, 'void', [pointer]],
  SessionOptionsAppendExecutionProvider: [216, pointer, [pointer, 'str', 'str *', 'str *', 'size_t']],
  RegisterCustomOpsLibrary_V2: [228, pointer, [pointer, 'str']],
} as const

export type Handle = unknown
type SlotName = keyof typeof slots
type Call = (...args: unknown[]) => unknown

/** ONNX Runtime's C API, called in place: no addon of ours, no copies of outputs (engine.md §3). */
export interface Ort {
  readonly version: string
  readonly path: string
  /** Calls a function that returns a status; throws `engine_failed` with its message. */
  check(name: SlotName, ...args: unknown[]): void
  /** The same for functions whose last argument is an out parameter: returns the handle. */
  create(name: SlotName, ...args: unknown[]): Handle
  release(name: Extract<SlotName, `Release${string}`>, handle: Handle): void
  /** Execution providers that this build has, as it spells them. */
  providers(): readonly string[]
}

/** The library that onnxruntime-node ships for this machine, or the one DEAPD_ONNXRUNTIME names (a CUDA build on a Jetson). */
export function libraryPath(): string {
  const override = process.env.DEAPD_ONNXRUNTIME
  if (override) return override
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
  return join(folder, 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime.so.1')
}

export function loadOrt(path = libraryPath()): Ort {
  // From 1.30 on the library keeps a device id in the home folder and queues usage reports unless it is told not to.
  process.env.ORT_DISABLE_TELEMETRY = '1'
  try {
    if (!existsSync(path)) throw new Error('there is no such file')
    const found = opened.get(path) ?? open(path)
    opened.set(path, found)
    return found
  } catch (error) {
    throw new DeapdError('engine_library', { path, detail: detailOf(error), oldest: oldestVersion }, error)
  }
}

/** koffi unloads a library whose handle is collected, and the functions in it with it: it must stay reachable for good. */
const loaded: unknown[] = []

/** What was opened, by path: koffi knows a function type by its name, once in a process. */
const opened = new Map<string, Ort>()

function open(path: string): Ort {
  const base = koffi.struct({ GetApi: pointer, GetVersionString: pointer })
  const library = koffi.load(path)
  loaded.push(library)
  const getBase = library.func('OrtGetApiBase', pointer, [])
  const { GetApi, GetVersionString } = koffi.decode(getBase(), base)
  const version: string = koffi.decode(GetVersionString, koffi.proto('str GetVersionString()'))()
  const table = koffi.decode(GetApi, koffi.proto('void *GetApi(uint32_t)'))(apiVersion)
  if (!table) throw new Error(`version ${version} is older than ${oldestVersion}`)
  const last = Math.max(...Object.values(slots).map(([slot]) => slot))
  const pointers: unknown[] = koffi.decode(table, koffi.array(pointer, last + 1))
  const calls = Object.fromEntries(
    Object.entries(slots).map(([name, [slot, result, args]]) => [
      name,
      koffi.decode(pointers[slot], koffi.proto(name, result, [...args])) as Call,
    ]),
  ) as Record<SlotName, Call>

  const check = (name: SlotName, ...args: unknown[]): void => {
    const status = calls[name](...args)
    if (!status) return
    const detail = String(calls.GetErrorMessage(status))
    calls.ReleaseStatus(status)
    throw new DeapdError('engine_failed', { detail: `${name}: ${detail}` })
  }
  return {
    version,
    path,
    check,
    create: (name, ...args) => {
      const out: Handle[] = [null]
      check(name, ...args, out)
      return out[0]
    },
    release: (name, handle) => {
      calls[name](handle)
    },
    providers() {
      const list: Handle[] = [null]
      const count = [0]
      check('GetAvailableProviders', list, count)
      const found: string[] = koffi.decode(list[0], koffi.array('str', count[0]))
      check('ReleaseAvailableProviders', list[0], count[0])
      return found
    },
  }
}
