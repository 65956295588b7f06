import { closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { tidy } from '../engine/ort/allocator.ts'
import { type Matrix, pickColumns, pickRows, readMatrix, stripRows } from '../models/onnx/matrix.ts'
import type { Form } from '../models/onnx/weights.ts'
import { dequantise, quantise } from '../models/quantise.ts'
import type { Checkpoint, LayerMatrices } from '../models/source/checkpoint.ts'
import { openTensors, readFully } from '../models/source/tensors.ts'
import { growing } from './passes.ts'

export type LayerWeights = Readonly<Record<keyof LayerMatrices, Float32Array>>

/** A checkpoint's weights as the package will round them, as float32, one layer after the other. */
export interface WeightStream {
  /** Valid until another layer, or the head, is asked for. */
  layer(index: number): LayerWeights
  /** [1, hidden] and [vocabulary, hidden]; valid as long as a layer is. */
  head(): { readonly finalNorm: Float32Array; readonly head: Float32Array }
  /** Rows of the embedding, one a token. */
  embed(ids: Int32Array, into: Float32Array): void
  close(): void
}

export interface StreamOptions {
  /** How weights are rounded; null reads them as they are. */
  readonly form: Form | null
  /** Channels of each layer's MLP in the order wanted, −1 for padding; null: as they are, with `padding` of them added. */
  readonly channels: readonly Int32Array[]
  /** Where rounded layers are kept, so that they are rounded once. */
  readonly folder: string
}

const names = ['inputNorm', 'q', 'k', 'v', 'o', 'mlpNorm', 'gate', 'up', 'down'] as const

/** Bytes that the weights of one layer take as float32. */
export const layerBytes = (layer: LayerMatrices): number =>
  4 * names.reduce((sum, name) => sum + layer[name].rows * layer[name].columns, 0)

export function openWeights(checkpoint: Checkpoint, { form, channels, folder }: StreamOptions): WeightStream {
  const source = openTensors(checkpoint.tensors)
  let loaded: { readonly key: number | 'head'; readonly weights: Record<string, Float32Array> } | null = null
  let shared = new Float32Array(0)
  const codes = growing()
  /** Room for these matrices, where those before them were. */
  const room = (matrices: readonly Matrix[]): Float32Array[] => {
    const sizes = matrices.map(({ rows, columns }) => rows * columns)
    const total = sizes.reduce((a, b) => a + b, 0)
    if (shared.length < total) shared = new Float32Array(total)
    let end = 0
    return sizes.map((size) => {
      end += size
      return shared.subarray(end - size, end)
    })
  }
  const ordered = (index: number): LayerMatrices => {
    const layer = checkpoint.layers[index]
    const order = channels[index]
    return {
      ...layer,
      gate: pickRows(layer.gate, order),
      up: pickRows(layer.up, order),
      down: pickColumns(layer.down, order),
    }
  }
  const readPlain = (matrix: Matrix, into: Float32Array): void => {
    const most = stripRows(matrix.columns)
    for (let from = 0; from < matrix.rows; from += most) {
      const count = Math.min(most, matrix.rows - from)
      readMatrix(matrix, from, count, into.subarray(from * matrix.columns), source.read)
    }
  }
  const load = (key: number | 'head', matrices: readonly Matrix[], head: boolean): Float32Array[] => {
    const into = room(matrices)
    const wanted =
      head && form !== null && form.quantisation !== 'none' ? { ...form, quantisation: 'int8' as const } : form
    if (wanted === null || wanted.quantisation === 'none') {
      for (const [i, matrix] of matrices.entries()) readPlain(matrix, into[i])
    } else readRounded(join(folder, `rounded-${key}`), matrices, wanted, into, readPlain, codes)
    return into
  }
  const remembered = (key: number | 'head', make: () => Record<string, Float32Array>): Record<string, Float32Array> => {
    loaded = loaded?.key === key ? loaded : { key, weights: make() }
    return loaded.weights
  }
  return {
    layer: (index) =>
      remembered(index, () => {
        const matrices = ordered(index)
        const read = load(
          index,
          names.map((name) => matrices[name]),
          false,
        )
        return Object.fromEntries(names.map((name, i) => [name, read[i]]))
      }) as LayerWeights,
    head: () =>
      remembered('head', () => {
        const [finalNorm, head] = load('head', [checkpoint.finalNorm, checkpoint.head], true)
        return { finalNorm, head }
      }) as ReturnType<WeightStream['head']>,
    embed(ids, into) {
      const { columns } = checkpoint.embedding
      for (const [i, id] of ids.entries())
        readMatrix(checkpoint.embedding, id, 1, into.subarray(i * columns), source.read)
    },
    close: () => {
      loaded = null
      shared = new Float32Array(0)
      source.close()
    },
  }
}

type Room = ReturnType<typeof growing>
type ReadPlain = (matrix: Matrix, into: Float32Array) => void
type Save = (data: Uint8Array, scales: Float32Array) => void

/** Norms are not rounded; everything else is, a strip at a time. */
function round(matrix: Matrix, form: Form, into: Float32Array, read: ReadPlain, save: Save): void {
  read(matrix, into)
  if (matrix.rows === 1) return
  const { rows, columns } = matrix
  const most = stripRows(columns)
  for (let from = 0; from < rows; from += most) {
    const strip = into.subarray(from * columns, Math.min(rows, from + most) * columns)
    const rounded = quantise(strip, strip.length / columns, columns, bitsOf(form), form.block, form.rounding)
    save(rounded.data, rounded.scales)
    dequantise(rounded, strip)
  }
}

const bitsOf = ({ quantisation }: Form): 4 | 8 => (quantisation === 'int4' ? 4 : 8)

/** Codes and scales of one layer, from the file where an earlier pass left them, or rounded now and left there. */
function readRounded(
  path: string,
  matrices: readonly Matrix[],
  form: Form,
  into: readonly Float32Array[],
  read: ReadPlain,
  codes: Room,
): void {
  if (existsSync(path)) return restore(path, matrices, form, into, read, codes)
  const fd = openSync(`${path}.new`, 'w')
  try {
    for (const [i, matrix] of matrices.entries()) {
      round(matrix, form, into[i], read, (data, scales) => {
        writeSync(fd, data)
        writeSync(fd, new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength))
      })
    }
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.new`, path)
  // Codes and scales of each matrix are garbage now.
  tidy()
}

function restore(
  path: string,
  matrices: readonly Matrix[],
  form: Form,
  into: readonly Float32Array[],
  read: ReadPlain,
  codes: Room,
): void {
  const bits = bitsOf(form)
  const { block } = form
  const fd = openSync(path, 'r')
  let at = 0
  const next = (into: ArrayBufferView): void => {
    const bytes = Buffer.from(into.buffer, into.byteOffset, into.byteLength)
    readFully(fd, bytes, at)
    at += bytes.byteLength
  }
  try {
    for (const [i, matrix] of matrices.entries()) {
      const { rows, columns } = matrix
      if (rows === 1) {
        read(matrix, into[i])
        continue
      }
      const blocks = Math.ceil(columns / block)
      for (let from = 0; from < rows; from += stripRows(columns)) {
        const count = Math.min(stripRows(columns), rows - from)
        const bytes = (count * blocks * block * bits) / 8
        const held = codes(count * blocks + Math.ceil(bytes / 4))
        const scales = held.subarray(0, count * blocks)
        const data = new Uint8Array(held.buffer, scales.byteLength, bytes)
        next(data)
        next(scales)
        dequantise({ rows: count, columns, bits, block, data, scales }, into[i].subarray(from * columns))
      }
    }
  } finally {
    closeSync(fd)
  }
}
