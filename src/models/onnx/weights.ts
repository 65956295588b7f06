import { type Activations, asActivations, bytesOf } from './activations.ts'
import type { Matrix } from './matrix.ts'
import { type ElementType, elementType, type Node, node, type TensorInfo } from './proto.ts'

export type Quantisation = 'int4' | 'int8' | 'none'

/** How a block's scale is found: the one that covers its largest weight, or the one of least squared error. */
export type Rounding = 'nearest' | 'searched'

export interface Form {
  readonly quantisation: Quantisation
  readonly block: number
  /** Default: searched. */
  readonly rounding?: Rounding
}

/**
 * One piece of model.onnx.data: where it goes and how it is made. `blocks` are a matrix as MatMulNBits wants it: codes at
 * `offset`, one scale a block at `scalesOffset`. `transposed` is [columns, rows], as MatMul wants it. Whatever is combined
 * with activations has their type.
 */
export type Part = { readonly name: string; readonly offset: number; readonly bytes: number } & (
  | { readonly kind: 'data'; readonly data: ArrayBufferView }
  | { readonly kind: 'values' | 'transposed'; readonly matrix: Matrix; readonly activations: Activations }
  | {
      readonly kind: 'blocks'
      readonly matrix: Matrix
      readonly activations: Activations
      readonly bits: 4 | 8
      readonly block: number
      readonly rounding: Rounding
      readonly scalesOffset: number
      readonly scalesBytes: number
    }
)

/**
 * Lays out model.onnx.data while the graph is drawn. Sizes follow from shapes, so no weight is read here: `parts` says what
 * to write afterwards (fill.ts quantises a checkpoint; a benchmark may write ready-made blocks instead).
 */
export interface WeightPlan {
  readonly tensors: TensorInfo[]
  readonly parts: Part[]
  readonly activations: Activations
  /** Adds a tensor of known values, or a matrix that is not quantised. */
  add(name: string, dims: readonly number[], data: Float32Array | Matrix): void
  /**
   * Adds a [rows, columns] matrix in the wanted form and returns the node that multiplies `input` by its transpose. A form that
   * `takesBias` adds the [rows] tensor `bias` to the product on the way.
   */
  matmul(name: string, input: string, matrix: Matrix, form: Form, bias?: string): Node
  /** Bytes of the tensors whose name starts with `prefix`. */
  bytes(prefix: string): number
  /** Length of the whole file. */
  totalBytes(): number
}

/** Tensors start on page borders, so that the file can be memory-mapped; small ones only on cache lines. */
const alignment = (bytes: number): number => (bytes >= 1 << 20 ? 4096 : 64)

/** Whether a product in this form can add a bias itself; only the CPU's kernel is known to in every release. */
export const takesBias = ({ quantisation }: Form, activations: Activations): boolean =>
  quantisation !== 'none' && activations === 'float32'

/** Activations in int8, the fast path of the CPU kernels (DESIGN §6). */
const accuracyLevel = 4

export function planWeights(fileName: string, activations: Activations = 'float32'): WeightPlan {
  const width = bytesOf[activations]
  const tensors: TensorInfo[] = []
  const parts: Part[] = []
  const sizes = new Map<string, number>()
  let end = 0
  const reserve = (name: string, type: ElementType, dims: readonly number[], bytes: number): number => {
    const offset = Math.ceil(end / alignment(bytes)) * alignment(bytes)
    end = offset + bytes
    sizes.set(name, bytes)
    const entries = { location: fileName, offset, length: bytes }
    tensors.push({
      name,
      dims,
      dataType: elementType[type],
      dataLocation: 1,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
    })
    return offset
  }
  return {
    tensors,
    parts,
    activations,
    add(name, dims, values) {
      if (values instanceof Float32Array) {
        const data = asActivations(values, activations)
        const offset = reserve(name, activations, dims, data.byteLength)
        parts.push({ kind: 'data', name, offset, bytes: data.byteLength, data })
      } else {
        const bytes = values.rows * values.columns * width
        const offset = reserve(name, activations, dims, bytes)
        parts.push({ kind: 'values', name, offset, bytes, matrix: values, activations })
      }
    },
    matmul(name, input, matrix, { quantisation, block, rounding = 'searched' }, bias) {
      const { rows, columns } = matrix
      const output = `${name}.out`
      const weight = `${name}.weight`
      if (quantisation === 'none') {
        const bytes = rows * columns * width
        const offset = reserve(weight, activations, [columns, rows], bytes)
        parts.push({ kind: 'transposed', name: weight, offset, bytes, matrix, activations })
        return node('MatMul', [input, weight], [output])
      }
      const bits = quantisation === 'int4' ? 4 : 8
      const blocks = Math.ceil(columns / block)
      const bytes = (rows * blocks * block * bits) / 8
      const scales = rows * blocks * width
      const offset = reserve(weight, 'uint8', [rows, blocks, (block * bits) / 8], bytes)
      const scalesOffset = reserve(`${name}.scales`, activations, [rows, blocks], scales)
      parts.push({
        kind: 'blocks',
        name,
        offset,
        bytes,
        matrix,
        activations,
        bits,
        block,
        rounding,
        scalesOffset,
        scalesBytes: scales,
      })
      const inputs = [input, weight, `${name}.scales`, ...(bias === undefined ? [] : ['', '', bias])]
      return node('com.microsoft.MatMulNBits', inputs, [output], {
        K: columns,
        N: rows,
        bits,
        block_size: block,
        accuracy_level: accuracyLevel,
      })
    },
    bytes: (prefix) => [...sizes].reduce((sum, [name, size]) => (name.startsWith(prefix) ? sum + size : sum), 0),
    totalBytes: () => end,
  }
}
