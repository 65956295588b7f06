import { closeSync, openSync, readSync } from 'node:fs'
import { DeapdError, detailOf } from '../../errors.ts'
import type { ReadRows } from '../onnx/matrix.ts'
import { dtypes } from './dtypes.ts'

/** Where a tensor of a checkpoint lies. Plain data, so that it can be handed to a worker thread. */
export interface TensorEntry {
  readonly path: string
  /** A name of the `dtypes` table. */
  readonly dtype: string
  /** Row-major, the last dimension the fastest, as PyTorch prints it. */
  readonly shape: readonly number[]
  /** First byte in the file. */
  readonly start: number
}

export type TensorTable = Readonly<Record<string, TensorEntry>>

/** Opens the files behind a table of tensors as they are needed; rows come back as float32. */
export function openTensors(table: TensorTable): { readonly read: ReadRows; close(): void } {
  const files = new Map<string, number>()
  const fdOf = (path: string): number => {
    const fd = files.get(path) ?? openSync(path, 'r')
    files.set(path, fd)
    return fd
  }
  let raw = Buffer.alloc(0)
  return {
    read(name, from, count, into) {
      const { path, dtype, shape, start } = table[name]
      const { blockWeights, blockBytes, decode } = dtypes[dtype]
      const columns = shape[shape.length - 1]
      const rowBytes = (columns / blockWeights) * blockBytes
      const bytes = count * rowBytes
      if (raw.byteLength < bytes) raw = Buffer.from(new ArrayBuffer(bytes))
      try {
        readFully(fdOf(path), raw.subarray(0, bytes), start + from * rowBytes)
      } catch (error) {
        throw new DeapdError('import_damaged', { path, detail: `${name}: ${detailOf(error)}` }, error)
      }
      const values = into.subarray(0, count * columns)
      decode(raw.subarray(0, bytes), values)
      const bad = firstNotFinite(values)
      if (bad >= 0) {
        const at = `${name}[${from + Math.floor(bad / columns)}, ${bad % columns}]`
        throw new DeapdError('import_damaged', {
          path,
          detail: `${at} is ${values[bad]}, not a number to compute with`,
        })
      }
    },
    close: () => {
      for (const fd of files.values()) closeSync(fd)
    },
  }
}

function firstNotFinite(values: Float32Array): number {
  // A sum is NaN or infinite if a term is; only then look for the term.
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]
  return Number.isFinite(sum) ? -1 : values.findIndex((value) => !Number.isFinite(value))
}

/** Fills `into` from `position` on, or throws: one read call returns at most 2 GiB, and may return less than asked. */
export function readFully(fd: number, into: Buffer, position: number): void {
  for (let done = 0; done < into.byteLength; ) {
    const count = readSync(fd, into, done, Math.min(into.byteLength - done, 1 << 30), position + done)
    if (count === 0) throw new Error('the file ends too early')
    done += count
  }
}
