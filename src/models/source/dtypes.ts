import { singles } from '../half.ts'
import type { Dtype } from './dtype.ts'
import { ggmlDtypes } from './ggml.ts'

function decodeF32(raw: Buffer, into: Float32Array): void {
  new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(raw)
}

function decodeF16(raw: Buffer, into: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = singles[raw[2 * i] | (raw[2 * i + 1] << 8)]
}

function decodeBF16(raw: Buffer, into: Float32Array): void {
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length)
  for (let i = 0; i < bits.length; i++) bits[i] = (raw[2 * i] << 16) | (raw[2 * i + 1] << 24)
}

/** What safetensors files hold. */
export const floatDtypes: Readonly<Record<string, Dtype>> = {
  F32: { blockWeights: 1, blockBytes: 4, decode: decodeF32 },
  F16: { blockWeights: 1, blockBytes: 2, decode: decodeF16 },
  BF16: { blockWeights: 1, blockBytes: 2, decode: decodeBF16 },
}

/** Every form of weights that we read, by the name that its files use. */
export const dtypes: Readonly<Record<string, Dtype>> = { ...floatDtypes, ...ggmlDtypes }
