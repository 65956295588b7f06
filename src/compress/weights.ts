import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Matrix, pickColumns, pickRows, readMatrix, stripRows } from '../models/onnx/matrix.ts'
import type { Form } from '../models/onnx/weights.ts'
import { dequantise, quantise } from '../models/quantise.ts'
import type { Checkpoint, LayerMatrices } from '../models/source/checkpoint.ts'
import { openTensors } from '../models/source/tensors.ts'

export type LayerWeights = Readonly<Record<keyof LayerMatrices, Float32Array>>

/** A checkpoint's weights as the package will round them, as float32, one layer after the other. */
export interface WeightStream {
  /** Valid until another layer, or the head, is asked for, unless all are kept. */
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
  /** Whether all layers stay in memory once they were read. */
  readonly keep: boolean
  /** Where rounded layers are kept that do not stay in memory, so that they are rounded once. */
  readonly folder: string
}

const names = ['inputNorm', 'q', 'k', 'v', 'o', 'mlpNorm', 'gate', 'up', 'down'] as const

/** Bytes that the weights of one layer take as float32. */
export const layerBytes = (layer: LayerMatrices): number =>
  4 * names.reduce((sum, name) => sum + layer[name].rows * layer[name].columns, 0)

export function openWeights(checkpoint: Checkpoint, { form, channels, keep, folder }: StreamOptions): WeightStream {
  const source = openTensors(checkpoint.tensors)
  const kept = new Map<number | 'head', Record<string, Float32Array>>()
  let shared = new Float32Array(0)
  /** Room for these matrices: their own where they are kept, else the room of what was there before. */
  const room = (matrices: readonly Matrix[]): Float32Array[] => {
    const sizes = matrices.map(({ rows, columns }) => rows * columns)
    const total = sizes.reduce((a, b) => a + b, 0)
    if (!keep && shared.length < total) shared = new Float32Array(total)
    const all = keep ? new Float32Array(total) : shared
    let end = 0
    return sizes.map((size) => {
      end += size
      return all.subarray(end - size, end)
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
    } else if (keep) {
      for (const [i, matrix] of matrices.entries()) round(matrix, wanted, into[i], readPlain, null)
    } else readRounded(join(folder, `rounded-${key}`), matrices, wanted, into, readPlain)
    return into
  }
  const remembered = (key: number | 'head', make: () => Record<string, Float32Array>): Record<string, Float32Array> => {
    const found = kept.get(key) ?? make()
    if (!keep) kept.clear()
    kept.set(key, found)
    return found
  }
  return {
    layer: (index) =>
      remembered(index, () => {
        const matrices = ordered(index)
        const loaded = load(
          index,
          names.map((name) => matrices[name]),
          false,
        )
        return Object.fromEntries(names.map((name, i) => [name, loaded[i]]))
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
      kept.clear()
      source.close()
    },
  }
}

type ReadPlain = (matrix: Matrix, into: Float32Array) => void
type Save = ((data: Uint8Array, scales: Float32Array) => void) | null

/** Norms are not rounded; everything else is, a strip at a time. */
function round(matrix: Matrix, form: Form, into: Float32Array, read: ReadPlain, save: Save): void {
  read(matrix, into)
  if (matrix.rows === 1) return
  const { rows, columns } = matrix
  const most = stripRows(columns)
  for (let from = 0; from < rows; from += most) {
    const strip = into.subarray(from * columns, Math.min(rows, from + most) * columns)
    const rounded = quantise(strip, strip.length / columns, columns, bitsOf(form), form.block, form.rounding)
    save?.(rounded.data, rounded.scales)
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
): void {
  if (existsSync(path)) return restore(path, matrices, form, into, read)
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
}

function restore(
  path: string,
  matrices: readonly Matrix[],
  form: Form,
  into: readonly Float32Array[],
  read: ReadPlain,
): void {
  const bits = bitsOf(form)
  const { block } = form
  const file = readFileSync(path)
  let at = 0
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
      const data = file.subarray(at, at + bytes)
      at += bytes
      const scales = new Float32Array(count * blocks)
      new Uint8Array(scales.buffer).set(file.subarray(at, at + scales.byteLength))
      at += scales.byteLength
      dequantise({ rows: count, columns, bits, block, data, scales }, into[i].subarray(from * columns))
    }
  }
}
