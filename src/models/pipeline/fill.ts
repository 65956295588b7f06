import { createHash, type Hash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { asActivations } from '../onnx/activations.ts'
import { type Matrix, pickColumns, type ReadRows, readMatrix, stripRows } from '../onnx/matrix.ts'
import type { Part } from '../onnx/weights.ts'
import { quantise } from '../quantise.ts'
import { readFully } from '../source/tensors.ts'

/** Floats of a transposed strip: 32 MB. */
const transposedStrip = 1 << 23

/** A stretch of the file that is written from its start to its end, hashed on the way. */
interface Region {
  write(data: ArrayBufferView): void
  readonly hash: Hash
}

const regionsOf = (part: Part): readonly (readonly [offset: number, bytes: number])[] =>
  part.kind === 'blocks'
    ? [
        [part.offset, part.bytes],
        [part.scalesOffset, part.scalesBytes],
      ]
    : [[part.offset, part.bytes]]

/** Writes one part of model.onnx.data in strips, and returns the sha256 of what was written. */
export function writePart(part: Part, fd: number, read: ReadRows): string {
  const regions = regionsOf(part).map(([offset]) => openRegion(fd, offset))
  const [main, scales] = regions
  switch (part.kind) {
    case 'data':
      main.write(part.data)
      break
    case 'values':
      eachStrip(part.matrix, read, (strip) => main.write(asActivations(strip, part.activations)))
      break
    case 'transposed':
      writeTransposed(part, main, read)
      break
    case 'blocks':
      eachStrip(part.matrix, read, (strip, _, rows) => {
        const quantised = quantise(strip, rows, part.matrix.columns, part.bits, part.block, part.rounding)
        main.write(quantised.data)
        scales.write(asActivations(quantised.scales, part.activations))
      })
  }
  return regions.map(({ hash }) => hash.digest('hex')).join()
}

/** The same sha256, of what the file holds now. */
export function hashPart(part: Part, fd: number): string {
  const piece = Buffer.alloc(1 << 20)
  return regionsOf(part)
    .map(([offset, bytes]) => {
      const hash = createHash('sha256')
      for (let done = 0; done < bytes; done += piece.byteLength) {
        const wanted = piece.subarray(0, Math.min(piece.byteLength, bytes - done))
        readFully(fd, wanted, offset + done)
        hash.update(wanted)
      }
      return hash.digest('hex')
    })
    .join()
}

function openRegion(fd: number, offset: number): Region {
  const hash = createHash('sha256')
  let position = offset
  return {
    hash,
    write(data) {
      const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
      hash.update(raw)
      for (let done = 0; done < raw.byteLength; )
        done += writeSync(fd, raw, done, Math.min(raw.byteLength - done, 1 << 30), position + done)
      position += raw.byteLength
    },
  }
}

function eachStrip(
  matrix: Matrix,
  read: ReadRows,
  use: (strip: Float32Array, from: number, rows: number) => void,
): void {
  const most = stripRows(matrix.columns)
  const strip = new Float32Array(Math.min(most, matrix.rows) * matrix.columns)
  for (let from = 0; from < matrix.rows; from += most) {
    const rows = Math.min(most, matrix.rows - from)
    readMatrix(matrix, from, rows, strip, read)
    use(strip.subarray(0, rows * matrix.columns), from, rows)
  }
}

/** Reads the matrix once for every strip of its columns, which become the rows of the file. */
function writeTransposed(
  { matrix, activations }: Part & { readonly kind: 'values' | 'transposed' },
  region: Region,
  read: ReadRows,
): void {
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
    region.write(asActivations(turned.subarray(0, count * rows), activations))
  }
}
