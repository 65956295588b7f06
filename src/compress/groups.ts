import { chunkChannelsFor } from '../models/levels.ts'
import { cacheHeadSize } from '../models/onnx/padding.ts'
import type { Form } from '../models/onnx/weights.ts'
import type { LlamaShape } from '../models/source/config.ts'

/** What is kept or dropped together: a chunk of a layer's MLP, or the query heads that read one key-value head. */
export interface Group {
  readonly layer: number
  readonly kind: 'heads' | 'mlp'
  /** Number of the chunk in the layer's order of channels, or of the key-value head. */
  readonly index: number
  readonly weights: number
  /** Bytes a decoded token reads for it, in the form of the package. */
  readonly bytes: number
}

/** The groups of a model, layer by layer, heads before chunks; a sub-network is a Uint8Array over them, 1 where one runs. */
export interface Groups {
  readonly all: readonly Group[]
  readonly chunkChannels: number
  readonly chunks: number
  readonly perLayer: number
  /** Bytes a decoded token reads whatever is dropped. */
  readonly otherBytes: number
  /** Bytes of the full network. */
  readonly bytes: number
}

export type Subnet = Uint8Array

export function groupsOf(shape: LlamaShape, form: Form): Groups {
  const { hiddenSize, ffnSize, heads, kvHeads, headSize, layers, vocabSize } = shape
  const chunkChannels = chunkChannelsFor(ffnSize)
  const chunks = Math.ceil(ffnSize / chunkChannels)
  const matrix = matrixBytes(form)
  const padded = cacheHeadSize(headSize)
  const shared = heads / kvHeads
  const head = {
    weights: 2 * shared * headSize * hiddenSize,
    bytes: matrix(shared * padded, hiddenSize) + matrix(hiddenSize, shared * padded),
  }
  const all = Array.from({ length: layers }, (_, layer): Group[] => [
    ...Array.from({ length: kvHeads }, (_, index): Group => ({ layer, kind: 'heads', index, ...head })),
    ...Array.from({ length: chunks }, (_, index): Group => {
      const width = Math.min(chunkChannels, ffnSize - index * chunkChannels)
      const bytes = matrix(2 * width, hiddenSize) + matrix(hiddenSize, width)
      return { layer, kind: 'mlp', index, weights: 3 * width * hiddenSize, bytes }
    }),
  ]).flat()
  const headBytes = matrixBytes(form.quantisation === 'none' ? form : { ...form, quantisation: 'int8' })
  const norms = 4 * hiddenSize * (2 * layers + 1)
  const otherBytes = layers * matrix(2 * kvHeads * padded, hiddenSize) + headBytes(vocabSize, hiddenSize) + norms
  return {
    all,
    chunkChannels,
    chunks,
    perLayer: kvHeads + chunks,
    otherBytes,
    bytes: otherBytes + all.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** Bytes of a matrix in a form, scales included (models/onnx/weights.ts). */
const matrixBytes =
  ({ quantisation, block }: Form) =>
  (rows: number, columns: number): number => {
    if (quantisation === 'none') return 4 * rows * columns
    const blocks = Math.ceil(columns / block)
    return rows * blocks * ((block * (quantisation === 'int4' ? 4 : 8)) / 8 + 4)
  }

export const fullSubnet = ({ all }: Groups): Subnet => new Uint8Array(all.length).fill(1)

/** The same sub-network without some groups. */
export function without(subnet: Subnet, dropped: readonly number[]): Subnet {
  const less = subnet.slice()
  for (const group of dropped) less[group] = 0
  return less
}

/** Masks of one layer, as the calibration graph takes them. */
export function maskOf({ perLayer, chunks }: Groups, subnet: Subnet, layer: number, kind: Group['kind']): Float32Array {
  const start = layer * perLayer
  const middle = start + perLayer - chunks
  return Float32Array.from(
    kind === 'heads' ? subnet.subarray(start, middle) : subnet.subarray(middle, start + perLayer),
  )
}

/** Place of a group in the list of all. */
export const groupNumber = ({ perLayer, chunks }: Groups, layer: number, kind: Group['kind'], index: number): number =>
  layer * perLayer + (kind === 'heads' ? index : perLayer - chunks + index)
