/** How weights are stored in a file, and how to get float32 out of it. */
export interface Dtype {
  /** Weights that are stored together, and the bytes they take. */
  readonly blockWeights: number
  readonly blockBytes: number
  /** Decodes whole blocks; `raw` and `into` match in length. */
  decode(raw: Buffer, into: Float32Array): void
}

/** IEEE 754 half precision to single. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** Every half there is, as single: a lookup is several times faster than the arithmetic. */
const singles = Float32Array.from({ length: 1 << 16 }, (_, half) => halfToFloat(half))

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

export const dtypes: Readonly<Record<string, Dtype>> = {
  F32: { blockWeights: 1, blockBytes: 4, decode: decodeF32 },
  F16: { blockWeights: 1, blockBytes: 2, decode: decodeF16 },
  BF16: { blockWeights: 1, blockBytes: 2, decode: decodeBF16 },
}
