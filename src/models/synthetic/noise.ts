import { createCipheriv, createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { asActivations, bytesOf } from '../onnx/activations.ts'
import type { Part } from '../onnx/weights.ts'

/**
 * Seeded bytes, the same on every machine: the keystream of AES in counter mode, keyed by seed and tensor name. Gigabytes a
 * second, and a tensor does not depend on the order in which tensors are made.
 */
export function noise(seed: number, name: string, length: number): Buffer {
  const key = createHash('sha256').update(`${seed}/${name}`).digest().subarray(0, 16)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Floats spread evenly over [middle − spread, middle + spread], in 256 steps. */
function noisyFloats(seed: number, name: string, length: number, middle: number, spread: number): Float32Array {
  const table = Float32Array.from({ length: 256 }, (_, byte) => middle + spread * (byte / 127.5 - 1))
  const bytes = noise(seed, name, length)
  const floats = new Float32Array(length)
  for (let i = 0; i < length; i++) floats[i] = table[bytes[i]]
  return floats
}

/** Standard deviation of evenly spread codes. */
const codeDeviation = { 4: Math.sqrt((16 ** 2 - 1) / 12), 8: Math.sqrt((256 ** 2 - 1) / 12) } as const

/** Output deviation for inputs of deviation one: sums over dozens of layers neither vanish nor overflow. */
const gain = 0.7

/**
 * Writes one part of model.onnx.data with noise in place of a checkpoint's weights: quantised codes and scales directly, at
 * the speed of the disk. Norms are one; tables that do not come from a checkpoint are written as they are.
 */
export function writeNoise(part: Part, fd: number, seed: number): void {
  switch (part.kind) {
    case 'data':
      return write(fd, part.data, part.offset)
    case 'values':
    case 'transposed': {
      const { rows, columns } = part.matrix
      const isNorm = rows === 1
      const spread = isNorm ? 0 : gain * Math.sqrt(3 / columns)
      const values = noisyFloats(seed, part.name, rows * columns, isNorm ? 1 : 0, spread)
      return write(fd, asActivations(values, part.activations), part.offset)
    }
    case 'blocks': {
      const scale = gain / (codeDeviation[part.bits] * Math.sqrt(part.matrix.columns))
      write(fd, noise(seed, part.name, part.bytes), part.offset)
      const count = part.scalesBytes / bytesOf[part.activations]
      const scales = noisyFloats(seed, `${part.name}.scales`, count, scale, scale / 4)
      return write(fd, asActivations(scales, part.activations), part.scalesOffset)
    }
    default:
      part satisfies never
  }
}

function write(fd: number, data: ArrayBufferView, position: number): void {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  for (let done = 0; done < raw.byteLength; )
    done += writeSync(fd, raw, done, Math.min(raw.byteLength - done, 1 << 30), position + done)
}
