import { createHash, type Hash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { type Matrix, pickColumns, type ReadRows, readMatrix, stripRows } from './onnx/matrix.ts'
import type { Part } from './onnx/weights.ts'
import { quantise } from './quantise.ts'

/** Floats of a transposed strip: 32 MB. */
const transposedStrip = 1 << 23

/** Writes one part of model.onnx.data to `fd`, in strips, and returns the sha256 of what was written, in that order. */
export function writePart(part: Part, fd: number, read: ReadRows): string {
  const hash = createHash('sha256')
  switch (part.kind) {
    case 'data':
      write(fd, part.data, part.offset, hash)
      break
    case 'values':
      eachStrip(part.matrix, read, (strip, from) =>
        write(fd, strip, part.offset + from * part.matrix.columns * 4, hash),
      )
      break
    case 'transposed':
      writeTransposed(part.matrix, part.offset, fd, read, hash)
      break
    case 'blocks':
      writeBlocks(part, fd, read, hash)
  }
  return hash.digest('hex')
}

function eachStrip(
  matrix: Matrix,
  read: ReadRows,
  use: (strip: Float32Array, from: number, count: number) => void,
): void {
  const most = stripRows(matrix.columns)
  const strip = new Float32Array(Math.min(most, matrix.rows) * matrix.columns)
  for (let from = 0; from < matrix.rows; from += most) {
    const count = Math.min(most, matrix.rows - from)
    readMatrix(matrix, from, count, strip, read)
    use(strip.subarray(0, count * matrix.columns), from, count)
  }
}

function writeBlocks(part: Part & { readonly kind: 'blocks' }, fd: number, read: ReadRows, hash: Hash): void {
  const { matrix, bits, block, offset, scalesOffset } = part
  const blocks = Math.ceil(matrix.columns / block)
  eachStrip(matrix, read, (strip, from, count) => {
    const { data, scales } = quantise(strip, count, matrix.columns, bits, block)
    write(fd, data, offset + (from * blocks * block * bits) / 8, hash)
    write(fd, scales, scalesOffset + from * blocks * 4, hash)
  })
}

/** Reads the matrix once for every strip of its columns, which become the rows of the file. */
function writeTransposed(matrix: Matrix, offset: number, fd: number, read: ReadRows, hash: Hash): void {
  const { rows, columns } = matrix
  const width = Math.max(1, Math.min(columns, Math.floor(transposedStrip / rows)))
  const turned = new Float32Array(width * rows)
  for (let start = 0; start < columns; start += width) {
    const count = Math.min(width, columns - start)
    const slice = pickColumns(
      matrix,
      Int32Array.from({ length: count }, (_, i) => start + i),
    )
    eachStrip(slice, read, (strip, from, height) => {
      for (let r = 0; r < height; r++)
        for (let c = 0; c < count; c++) turned[c * rows + from + r] = strip[r * count + c]
    })
    write(fd, turned.subarray(0, count * rows), offset + start * rows * 4, hash)
  }
}

function write(fd: number, data: ArrayBufferView, position: number, hash: Hash): void {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  hash.update(raw)
  for (let done = 0; done < raw.byteLength; )
    done += writeSync(fd, raw, done, Math.min(raw.byteLength - done, 1 << 30), position + done)
}
