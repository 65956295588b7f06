import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { DeapdError, detailOf } from '../../errors.ts'
import { dtypes } from './dtypes.ts'
import { ggmlTypeName } from './ggml.ts'
import type { TensorEntry } from './tensors.ts'

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[] | ArrayLike<number>

export interface GgufFile {
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/** Reads the metadata and tensor table of one GGUF file (version 2 or 3). Throws `import_damaged` or `import_unsupported`. */
export function readGguf(path: string): GgufFile {
  const fd = openSync(path, 'r')
  try {
    return parse(path, openCursor(fd, statSync(path).size))
  } catch (error) {
    if (error instanceof DeapdError) throw error
    throw new DeapdError('import_damaged', { path, detail: detailOf(error) }, error)
  } finally {
    closeSync(fd)
  }
}

function parse(path: string, cursor: Cursor): GgufFile {
  if (cursor.take(4).toString('latin1') !== 'GGUF') throw new Error('it does not begin as a GGUF file')
  checkVersion(path, cursor.take(4).readUInt32LE())
  const tensorCount = cursor.count('tensors', 24)
  const metadata = new Map<string, GgufValue>()
  for (let left = cursor.count('metadata entries', 13); left > 0; left--) {
    const key = cursor.text()
    metadata.set(key, readValue(cursor, cursor.take(4).readUInt32LE()))
  }
  const found = Array.from({ length: tensorCount }, () => readTensor(path, cursor))
  const alignment = Number(metadata.get('general.alignment') ?? 32)
  if (!Number.isInteger(alignment) || alignment < 1) throw new Error(`an alignment of ${alignment} makes no sense`)
  const dataStart = Math.ceil(cursor.position() / alignment) * alignment
  const tensors = new Map<string, TensorEntry>()
  for (const { name, bytes, ...entry } of found) {
    const start = dataStart + entry.start
    if (tensors.has(name)) throw new Error(`tensor ${name} is there twice`)
    if (start + bytes > cursor.fileBytes) throw new Error(`tensor ${name} lies beyond the end of the file`)
    tensors.set(name, { ...entry, start })
  }
  return { metadata, tensors }
}

function checkVersion(path: string, version: number): void {
  if (version === 2 || version === 3) return
  const detail =
    version === 1
      ? 'it is GGUF version 1, which nobody has written since 2023; convert the model again'
      : version >= 1 << 16
        ? 'it is a big-endian GGUF file'
        : `it is GGUF version ${version}, and deapd knows 2 and 3`
  throw new DeapdError('import_unsupported', { path, detail })
}

function readTensor(path: string, cursor: Cursor): TensorEntry & { readonly name: string; readonly bytes: number } {
  const name = cursor.text()
  const dimensions = cursor.take(4).readUInt32LE()
  if (dimensions < 1 || dimensions > 4) throw new Error(`tensor ${name} has ${dimensions} dimensions`)
  // The fastest dimension comes first in the file.
  const shape = Array.from({ length: dimensions }, () => cursor.wide('a dimension')).reverse()
  const type = cursor.take(4).readUInt32LE()
  const start = cursor.wide('an offset')
  const dtype = ggmlTypeName(type)
  const format = dtypes[dtype]
  if (!format) {
    const known = Object.keys(dtypes).join(', ')
    throw new DeapdError('import_unsupported', { path, detail: `${name} is stored as ${dtype}; deapd reads ${known}` })
  }
  if (shape[shape.length - 1] % format.blockWeights !== 0) throw new Error(`tensor ${name} has broken blocks`)
  const bytes = (shape.reduce((a, b) => a * b, 1) / format.blockWeights) * format.blockBytes
  return { name, path, dtype, shape, start, bytes }
}

/** Scalar types by number (ggml's gguf.h): bytes and how to read them. */
const scalars: Readonly<Record<number, readonly [bytes: number, read: (raw: Buffer) => number | bigint | boolean]>> = {
  0: [1, (raw) => raw.readUInt8()],
  1: [1, (raw) => raw.readInt8()],
  2: [2, (raw) => raw.readUInt16LE()],
  3: [2, (raw) => raw.readInt16LE()],
  4: [4, (raw) => raw.readUInt32LE()],
  5: [4, (raw) => raw.readInt32LE()],
  6: [4, (raw) => raw.readFloatLE()],
  7: [1, (raw) => raw[0] !== 0],
  10: [8, (raw) => raw.readBigUInt64LE()],
  11: [8, (raw) => raw.readBigInt64LE()],
  12: [8, (raw) => raw.readDoubleLE()],
}
const stringType = 8
const arrayType = 9

function readValue(cursor: Cursor, type: number, depth = 0): GgufValue {
  if (type === stringType) return cursor.text()
  if (type === arrayType) {
    if (depth > 4) throw new Error('arrays are nested too deeply')
    const inner = cursor.take(4).readUInt32LE()
    const smallest = scalars[inner]?.[0] ?? 8
    return Array.from({ length: cursor.count('values', smallest) }, () => readValue(cursor, inner, depth + 1))
  }
  const scalar = scalars[type]
  if (!scalar) throw new Error(`a metadata value has the unknown type ${type}`)
  return scalar[1](cursor.take(scalar[0]))
}

interface Cursor {
  readonly fileBytes: number
  position(): number
  /** The next bytes; valid until the next call. */
  take(bytes: number): Buffer
  text(): string
  /** A 64-bit number that JavaScript can hold. */
  wide(what: string): number
  /** A number of things that take at least `bytesEach`: more than the file can hold is damage. */
  count(what: string, bytesEach: number): number
}

const window = 1 << 20

/** Reads a file from its start in pieces, so that a header of any length takes little memory. */
function openCursor(fd: number, fileBytes: number): Cursor {
  let buffer = Buffer.alloc(0)
  let start = 0
  let at = 0
  const take = (bytes: number): Buffer => {
    if (at + bytes > buffer.byteLength) {
      start += at
      at = 0
      if (start + bytes > fileBytes) throw new Error('the file ends within its header')
      const next = Buffer.alloc(Math.min(Math.max(bytes, window), fileBytes - start))
      if (readSync(fd, next, 0, next.byteLength, start) < bytes) throw new Error('the file ends within its header')
      buffer = next
    }
    at += bytes
    return buffer.subarray(at - bytes, at)
  }
  const wide = (what: string): number => {
    const value = Number(take(8).readBigUInt64LE())
    if (!Number.isSafeInteger(value)) throw new Error(`${what} is out of range`)
    return value
  }
  const count = (what: string, bytesEach: number): number => {
    const value = wide(`the number of ${what}`)
    if (value * bytesEach > fileBytes - start - at) throw new Error(`it claims ${value} ${what}, more than it can hold`)
    return value
  }
  return {
    fileBytes,
    position: () => start + at,
    take,
    wide,
    count,
    text: () => take(count('characters', 1)).toString('utf8'),
  }
}
