/**
 * A small GGUF writer (version 3, little-endian): metadata, tensor table, aligned data. Tensors are made one at a time when
 * their turn comes, so that a file of gigabytes needs the memory of one.
 * Source: the GGUF specification of the ggml project, docs/gguf.md.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'

/** Tensor types by name: id in the file, values per block, bytes per block. */
export const tensorTypes = {
  F32: { id: 0, values: 1, bytes: 4 },
  F16: { id: 1, values: 1, bytes: 2 },
  Q4_0: { id: 2, values: 32, bytes: 18 },
  Q4_1: { id: 3, values: 32, bytes: 20 },
  Q5_0: { id: 6, values: 32, bytes: 22 },
  Q5_1: { id: 7, values: 32, bytes: 24 },
  Q8_0: { id: 8, values: 32, bytes: 34 },
  Q4_K: { id: 12, values: 256, bytes: 144 },
  Q5_K: { id: 13, values: 256, bytes: 176 },
  Q6_K: { id: 14, values: 256, bytes: 210 },
  BF16: { id: 30, values: 1, bytes: 2 },
}

const alignment = 32

const fixed = (bytes, write) => (value) => {
  const out = Buffer.alloc(bytes)
  write(out, value)
  return out
}
const u32 = fixed(4, (out, value) => out.writeUInt32LE(value))
const u64 = fixed(8, (out, value) => out.writeBigUInt64LE(BigInt(value)))
const text = (value) => {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([u64(bytes.byteLength), bytes])
}

/** Metadata types: id in the file and how a value is written. */
const valueTypes = {
  u32: { id: 4, write: u32 },
  i32: { id: 5, write: fixed(4, (out, value) => out.writeInt32LE(value)) },
  f32: { id: 6, write: fixed(4, (out, value) => out.writeFloatLE(value)) },
  bool: { id: 7, write: (value) => Buffer.from([value ? 1 : 0]) },
  string: { id: 8, write: text },
}
const arrayId = 9

/** A metadata value: `['u32', 5]`, or `['u32', [1, 2]]` for an array. */
function encodeValue([type, value]) {
  const { id, write } = valueTypes[type]
  if (!Array.isArray(value)) return Buffer.concat([u32(id), write(value)])
  return Buffer.concat([u32(arrayId), u32(id), u64(value.length), ...value.map(write)])
}

/** Bytes of a tensor of `dims` (the fastest first, as GGUF counts them). */
export function tensorBytes(type, dims) {
  const { values, bytes } = tensorTypes[type]
  if (dims[0] % values !== 0) throw new Error(`${type} needs rows of a multiple of ${values}, not ${dims[0]}`)
  return (dims.reduce((a, b) => a * b, 1) / values) * bytes
}

/**
 * Writes a GGUF file.
 * @param {string} path
 * @param {Record<string, [keyof typeof valueTypes, unknown]>} metadata
 * @param {{name: string, type: keyof typeof tensorTypes, dims: number[], data: () => ArrayBufferView}[]} tensors
 */
export function writeGguf(path, metadata, tensors) {
  const entries = Object.entries(metadata)
  let offset = 0
  const table = tensors.map(({ name, type, dims }) => {
    const at = offset
    offset = align(at + tensorBytes(type, dims))
    return {
      at,
      row: [text(name), u32(dims.length), ...dims.map(u64), u32(tensorTypes[type].id), u64(at)],
    }
  })
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries.flatMap(([key, value]) => [text(key), encodeValue(value)]),
    ...table.flatMap(({ row }) => row),
  ])
  const fd = openSync(path, 'w')
  try {
    // Readers expect the padding after the last tensor, too.
    ftruncateSync(fd, align(head.byteLength) + offset)
    writeAt(fd, head, 0)
    for (const [i, { name, type, dims, data }] of tensors.entries()) {
      const bytes = data()
      if (bytes.byteLength !== tensorBytes(type, dims)) throw new Error(`${name} has ${bytes.byteLength} bytes`)
      writeAt(fd, bytes, align(head.byteLength) + table[i].at)
    }
  } finally {
    closeSync(fd)
  }
}

const align = (offset) => Math.ceil(offset / alignment) * alignment

function writeAt(fd, data, position) {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  for (let done = 0; done < raw.byteLength; )
    done += writeSync(fd, raw, done, Math.min(raw.byteLength - done, 1 << 30), position + done)
}
