import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { graphFiles } from '../models/draw.ts'
import type { Manifest } from '../models/manifest.ts'
import type { KvType } from '../models/onnx/interface.ts'
import { dataFile } from '../models/pipeline/workspace.ts'
import { requireBlocks } from './headroom.ts'
import type { KvForm } from './kv-cache.ts'
import type { Ort } from './ort/api.ts'
import { makeParts, openParts, partsFor } from './ort/parts.ts'
import { cpuIdentity, type Prepacked, prepacked } from './ort/prepacked.ts'
import { openOn, type ProviderName, type ProviderSetting } from './ort/providers.ts'
import { openSession, type Session } from './ort/session.ts'

/** Weights below this are prepacked at every load: it takes less time than finding them prepacked. */
const worthPrepacking = 64e6

/**
 * From this length on attention takes all int8 keys and values at once instead of in tiles: a token is decided faster (src/README.md,
 * Decisions), a prompt read a little slower. Shorter contexts stay as they are: their certificates were measured so.
 */
const longContext = 1024

export interface GraphOptions {
  readonly provider?: ProviderSetting
  /** How keys and values are kept; by default as the package says. */
  readonly kv?: KvType
  /** Use, and if need be make, weights prepacked for this machine; `auto`, the default, where it pays. */
  readonly prepack?: 'auto' | 'always' | 'never'
  /** Over how many sessions prepacked weights are spread; by default as many as pay. */
  readonly parts?: number
  /** See `SessionOptions`. */
  readonly sharedArena?: boolean
}

export interface OpenedGraph {
  readonly provider: ProviderName
  readonly session: Session
  /** Why a faster provider was not used, if there is one. */
  readonly refused: string | null
  readonly kv: KvForm
  readonly prepacked: string
}

/** Opens a package's graph for the provider and the form of keys and values asked for, from prepacked weights where it pays. */
export function openGraph(
  ort: Ort,
  dir: string,
  manifest: Manifest,
  threads: number,
  { provider: wanted = 'cpu', kv: type, prepack = 'auto', parts, sharedArena }: GraphOptions,
): OpenedGraph {
  let kv: KvForm = { type: manifest.dtype, scales: null }
  let cached: Prepacked = { home: null, state: 'unavailable', detail: 'not needed' }
  const { provider, opened, refused } = openOn(ort, wanted, manifest.dtype, (name) => {
    // Only the CPU's attention kernel is known to take int8 keys and values with one scale a channel.
    kv = name === 'cpu' ? kvForm(dir, manifest, type) : kv
    const file = graphFiles[kv.type]
    if (name !== 'cpu') {
      requireBlocks(`the weights on ${name}`, manifest.files[dataFile]?.bytes ?? 0)
      return openSession(ort, join(dir, file), threads, { provider: name })
    }
    if (worthIt(manifest, prepack)) cached = findPrepacked(ort, dir, manifest, file, threads, parts)
    const flashAttention = kv.type !== 'int8' || manifest.shape.context_tokens < longContext
    const own = () => openSession(ort, join(dir, file), threads, { sharedArena, flashAttention })
    if (cached.home === null) return own()
    try {
      return openParts(ort, cached.home, manifest, threads, flashAttention)
    } catch (error) {
      // Sealed and yet not loadable: the package itself still is.
      cached = { home: null, state: 'unavailable', detail: `damaged (${String(error)})` }
      return own()
    }
  })
  return { provider, session: opened, refused, kv, prepacked: `${cached.state}: ${cached.detail}` }
}

function kvForm(dir: string, { kv_scales: file, dtype }: Manifest, wanted?: KvType): KvForm {
  if (file === undefined || wanted === dtype) return { type: dtype, scales: null }
  const raw = readFileSync(join(dir, file))
  return { type: 'int8', scales: new Float32Array(new Uint8Array(raw).buffer) }
}

const worthIt = (manifest: Manifest, prepack: GraphOptions['prepack']): boolean =>
  prepack === 'always' || (prepack === 'auto' && (manifest.files[dataFile]?.bytes ?? 0) >= worthPrepacking)

function findPrepacked(
  ort: Ort,
  dir: string,
  manifest: Manifest,
  file: string,
  threads: number,
  parts?: number,
): Prepacked {
  const weights = manifest.files[dataFile]
  const weightBytes = weights?.bytes ?? 0
  return prepacked({
    dir,
    key: { model: `${manifest.files[file]?.sha256} ${weights?.sha256}`, runtime: ort.version, cpu: cpuIdentity() },
    weightBytes,
    make: (folder) => makeParts(ort, { dir, file, manifest }, threads, folder, parts ?? partsFor(weightBytes)),
  })
}
