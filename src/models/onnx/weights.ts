import { closeSync, openSync, writeSync } from 'node:fs'
import { type QuantisedMatrix, quantise } from '../quantise.ts'
import { type ElementType, elementType, type Node, node, type TensorInfo } from './proto.ts'

export type Quantisation = 'int4' | 'int8' | 'none'

/** Writes tensors one after the other into model.onnx.data, so that no more than one is in memory. */
export interface WeightFile {
  readonly tensors: TensorInfo[]
  add(name: string, type: ElementType, dims: readonly number[], data: ArrayBufferView): void
  /** Adds a [rows, columns] matrix in the wanted form and returns the node that multiplies `input` by its transpose. */
  matmul(name: string, input: string, weights: Float32Array, rows: number, columns: number, form: Form): Node
  /** Bytes written for tensors whose name starts with `prefix`. */
  bytes(prefix: string): number
  close(): void
}

export interface Form {
  readonly quantisation: Quantisation
  readonly block: number
}

/** Tensors start on page borders, so that the file can be memory-mapped; small ones only on cache lines. */
const alignment = (bytes: number): number => (bytes >= 1 << 20 ? 4096 : 64)

/** Activations in int8, the fast path of the CPU kernels (DESIGN §6). */
const accuracyLevel = 4

export function createWeightFile(path: string, fileName: string): WeightFile {
  const fd = openSync(path, 'w')
  const tensors: TensorInfo[] = []
  const sizes = new Map<string, number>()
  let offset = 0
  const add: WeightFile['add'] = (name, type, dims, data) => {
    const start = Math.ceil(offset / alignment(data.byteLength)) * alignment(data.byteLength)
    const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    for (let done = 0; done < raw.byteLength; )
      done += writeSync(fd, raw, done, Math.min(raw.byteLength - done, 1 << 30), start + done)
    offset = start + data.byteLength
    sizes.set(name, data.byteLength)
    const entries = { location: fileName, offset: start, length: data.byteLength }
    tensors.push({
      name,
      dims,
      dataType: elementType[type],
      dataLocation: 1,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
    })
  }
  return {
    tensors,
    add,
    matmul(name, input, weights, rows, columns, { quantisation, block }) {
      const output = `${name}.out`
      if (quantisation === 'none') {
        add(`${name}.weight`, 'float32', [columns, rows], transpose(weights, rows, columns))
        return node('MatMul', [input, `${name}.weight`], [output])
      }
      const q = quantise(weights, rows, columns, quantisation === 'int4' ? 4 : 8, block)
      addQuantised(add, name, q)
      return node('com.microsoft.MatMulNBits', [input, `${name}.weight`, `${name}.scales`], [output], {
        K: columns,
        N: rows,
        bits: q.bits,
        block_size: block,
        accuracy_level: accuracyLevel,
      })
    },
    bytes: (prefix) => [...sizes].reduce((sum, [name, size]) => (name.startsWith(prefix) ? sum + size : sum), 0),
    close: () => closeSync(fd),
  }
}

function addQuantised(add: WeightFile['add'], name: string, q: QuantisedMatrix): void {
  const blocks = Math.ceil(q.columns / q.block)
  add(`${name}.weight`, 'uint8', [q.rows, blocks, (q.block * q.bits) / 8], q.data)
  add(`${name}.scales`, 'float32', [q.rows, blocks], q.scales)
}

function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(matrix.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c]
  return out
}
