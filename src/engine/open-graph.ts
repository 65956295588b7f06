import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { graphFiles } from '../models/draw.ts'
import type { Manifest } from '../models/manifest.ts'
import type { KvType } from '../models/onnx/interface.ts'
import { decodeModel, encodeModel } from '../models/onnx/proto.ts'
import { dataFile } from '../models/pipeline/workspace.ts'
import { requireBlocks } from './headroom.ts'
import type { KvForm } from './kv-cache.ts'
import type { Ort } from './ort/api.ts'
import { ownKernels, withOwnKernels } from './ort/own-kernels.ts'
import { cpuIdentity, type Prepacked, prepacked } from './ort/prepacked.ts'
import { openOn, type ProviderName, type ProviderSetting } from './ort/providers.ts'
import { openSession, type Session } from './ort/session.ts'

/** Weights below this are prepacked at every load: it takes less time than finding them prepacked. */
const worthPrepacking = 64e6

export interface GraphOptions {
  readonly provider?: ProviderSetting
  /** How keys and values are kept; by default as the package says. */
  readonly kv?: KvType
  /** Whose matrix products and attention run on the CPU; by default our own, where they were built for this processor and the package's types. */
  readonly products?: 'own' | 'runtime'
  /** Use, and if need be make, weights prepacked for the runtime's products; `auto`, the default, where it pays. */
  readonly prepack?: 'auto' | 'always' | 'never'
  /** See `SessionOptions`. */
  readonly sharedArena?: boolean
}

export interface OpenedGraph {
  readonly provider: ProviderName
  readonly session: Session
  /** Why a faster provider was not used, if there is one. */
  readonly refused: string | null
  readonly kv: KvForm
  /** How the weights are read, and by whose products. */
  readonly weights: string
}

/** Opens a package's graph for the provider and the form of keys and values asked for. */
export function openGraph(
  ort: Ort,
  dir: string,
  manifest: Manifest,
  threads: number,
  options: GraphOptions,
): OpenedGraph {
  let kv: KvForm = { type: manifest.dtype, scales: null }
  let weights = 'in the memory of the device'
  const { provider, opened, refused } = openOn(ort, options.provider ?? 'cpu', manifest.dtype, (name) => {
    if (name !== 'cpu') {
      requireBlocks(`the weights on ${name}`, manifest.files[dataFile]?.bytes ?? 0)
      return openSession(ort, join(dir, graphFiles[kv.type]), threads, { provider: name })
    }
    // Only the CPU's attention kernel is known to take int8 keys and values with one scale a channel.
    kv = kvForm(dir, manifest, options.kv)
    const found = openOnCpu(ort, dir, manifest, threads, graphFiles[kv.type], options)
    weights = found.weights
    return found.session
  })
  return { provider, session: opened, refused, kv, weights }
}

function openOnCpu(
  ort: Ort,
  dir: string,
  manifest: Manifest,
  threads: number,
  file: string,
  { products = 'own', prepack = 'auto', sharedArena }: GraphOptions,
): { readonly session: Session; readonly weights: string } {
  const path = join(dir, file)
  const own =
    products === 'own' && manifest.dtype === 'float32' && manifest.quantisation.weights !== 'none' ? ownKernels() : null
  if (own !== null && own.library !== null) {
    const bytes = encodeModel(withOwnKernels(decodeModel(readFileSync(path)).graph, threads))
    const session = openSession(ort, { bytes, folder: dir }, threads, {
      sharedArena,
      operators: own.library,
    })
    return { session, weights: `read in place by our own products (${own.lanes})` }
  }
  const cached = worthIt(manifest, prepack) ? findPrepacked(ort, dir, manifest, file, threads) : null
  if (cached !== null && cached.home !== null) {
    try {
      const session = openSession(ort, join(cached.home, file), threads, { prepacked: true })
      return { session, weights: `prepacked, ${cached.state}: ${cached.detail}` }
    } catch (error) {
      // Sealed and yet not loadable: the package itself still is.
      const session = openSession(ort, path, threads, { sharedArena })
      return { session, weights: `packed at every start: damaged (${String(error)})` }
    }
  }
  const session = openSession(ort, path, threads, { sharedArena })
  return { session, weights: `packed at every start${cached === null ? '' : `: ${cached.detail}`}` }
}

function kvForm(dir: string, { kv_scales: file, dtype }: Manifest, wanted?: KvType): KvForm {
  if (file === undefined || wanted === dtype) return { type: dtype, scales: null }
  const raw = readFileSync(join(dir, file))
  return { type: 'int8', scales: new Float32Array(new Uint8Array(raw).buffer) }
}

const worthIt = (manifest: Manifest, prepack: GraphOptions['prepack']): boolean =>
  prepack === 'always' || (prepack === 'auto' && (manifest.files[dataFile]?.bytes ?? 0) >= worthPrepacking)

function findPrepacked(ort: Ort, dir: string, manifest: Manifest, file: string, threads: number): Prepacked {
  const weights = manifest.files[dataFile]
  return prepacked({
    dir,
    key: { model: `${manifest.files[file]?.sha256} ${weights?.sha256}`, runtime: ort.version, cpu: cpuIdentity() },
    weightBytes: weights?.bytes ?? 0,
    make: (folder) => {
      const save = { graph: join(folder, file), data: `${file}.prepacked` }
      openSession(ort, join(dir, file), threads, { save }).close()
    },
  })
}
