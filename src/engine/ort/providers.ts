import { DeapdError, detailOf } from '../../errors.ts'
import type { Activations } from '../../models/onnx/activations.ts'
import type { Handle, Ort } from './api.ts'

/** Who may run the graph's nodes, as rows. The graph is offered to one of them; what it does not take goes to the CPU. */
interface Provider {
  /** As the library and its profile spell it. */
  readonly registered: string
  /** Activations that all its kernels we need can take: CUDA's GroupQueryAttention has no float32 (DESIGN §6). */
  readonly dtypes: readonly Activations[]
  /** Device memory that the KV cache lives in, by the names of ONNX Runtime's releases, newest first; null: ordinary memory. */
  readonly memories: readonly string[] | null
  readonly append: (ort: Ort, options: Handle) => void
}

/** CUDA's arena otherwise doubles with every growth, and a Jetson's GPU shares its memory with everything else. */
const cudaOptions = { arena_extend_strategy: 'kSameAsRequested' }

export const providers = {
  cpu: {
    registered: 'CPUExecutionProvider',
    dtypes: ['float32', 'float16'],
    memories: null,
    append: () => undefined,
  },
  cuda: {
    registered: 'CUDAExecutionProvider',
    dtypes: ['float16'],
    memories: ['Cuda'],
    append(ort, options) {
      const cuda = ort.create('CreateCUDAProviderOptions')
      try {
        const keys = Object.keys(cudaOptions)
        ort.check('UpdateCUDAProviderOptions', cuda, keys, Object.values(cudaOptions), keys.length)
        ort.check('SessionOptionsAppendExecutionProvider_CUDA_V2', options, cuda)
      } finally {
        ort.release('ReleaseCUDAProviderOptions', cuda)
      }
    },
  },
  webgpu: {
    registered: 'WebGpuExecutionProvider',
    dtypes: ['float32', 'float16'],
    memories: ['WebGPU_Buf', 'WebGPU_Buffer'],
    append: (ort, options) => ort.check('SessionOptionsAppendExecutionProvider', options, 'WebGPU', [], [], 0),
  },
} as const satisfies Record<string, Provider>
export type ProviderName = keyof typeof providers
export type ProviderSetting = ProviderName | 'auto'
const providerNames = Object.keys(providers) as ProviderName[]
export const providerSettings: readonly ProviderSetting[] = ['auto', ...providerNames]

export interface Opened<T> {
  readonly provider: ProviderName
  readonly opened: T
  /** Why a faster provider that the library has was not used, if there is one. */
  readonly refused: string | null
}

/**
 * Opens a session on the provider asked for. `auto` tries CUDA for a float16 package where the library knows it and goes on
 * to the CPU when that fails (no driver, no CUDA library); WebGPU only runs when it is asked for. Throws `provider_missing`,
 * `provider_dtype`, or what `open` throws.
 */
export function openOn<T>(
  ort: Ort,
  wanted: ProviderSetting,
  dtype: Activations,
  open: (provider: ProviderName) => T,
): Opened<T> {
  const built = ort.providers()
  const available = providerNames.filter((name) => built.includes(providers[name].registered))
  if (wanted === 'auto') {
    if (dtype !== 'float16' || !available.includes('cuda')) return openOn(ort, 'cpu', dtype, open)
    try {
      return openOn(ort, 'cuda', dtype, open)
    } catch (error) {
      return { ...openOn(ort, 'cpu', dtype, open), refused: detailOf(error) }
    }
  }
  if (!available.includes(wanted)) {
    throw new DeapdError('provider_missing', { provider: wanted, path: ort.path, available: available.join(', ') })
  }
  const accepted: readonly Activations[] = providers[wanted].dtypes
  if (!accepted.includes(dtype)) {
    throw new DeapdError('provider_dtype', { provider: wanted, dtype, accepted: accepted.join(' or ') })
  }
  return { provider: wanted, opened: open(wanted), refused: null }
}
