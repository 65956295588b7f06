/** Float weights in ggml's block formats, as llama.cpp's own reference quantisers make them. */

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** A float as IEEE half precision, rounded to nearest even. */
export function half(value) {
  float[0] = value
  const sign = (bits[0] >>> 16) & 0x8000
  const magnitude = bits[0] & 0x7fffffff
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00)
  if (magnitude < 0x38800000) {
    // Below the smallest normal half: let float addition do the rounding.
    float[0] = Math.abs(value) + 0.5
    return sign | (bits[0] - 0x3f000000)
  }
  return sign | ((magnitude + 0xc8000fff + ((magnitude >>> 13) & 1)) >>> 13)
}

export function toF16(values) {
  return Uint16Array.from(values, half)
}

/** Q4_0: a half scale and 32 four-bit codes per block; the scale makes the largest weight code 0 (−8). */
export function toQ4_0(values) {
  const out = Buffer.alloc((values.length / 32) * 18)
  for (let block = 0; block < values.length / 32; block++) {
    const from = block * 32
    let largest = 0
    for (let i = from; i < from + 32; i++) if (Math.abs(values[i]) > Math.abs(largest)) largest = values[i]
    const scale = Math.fround(largest / -8)
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
    out.writeUInt16LE(half(scale), block * 18)
    const code = (i) => Math.min(15, Math.trunc(Math.fround(values[i] * inverse) + 8.5))
    for (let i = 0; i < 16; i++) out[block * 18 + 2 + i] = code(from + i) | (code(from + 16 + i) << 4)
  }
  return out
}

/** Q8_0: a half scale and 32 signed bytes per block. */
export function toQ8_0(values) {
  const out = Buffer.alloc((values.length / 32) * 34)
  for (let block = 0; block < values.length / 32; block++) {
    const from = block * 32
    let largest = 0
    for (let i = from; i < from + 32; i++) largest = Math.max(largest, Math.abs(values[i]))
    const scale = Math.fround(largest / 127)
    out.writeUInt16LE(half(scale), block * 34)
    for (let i = 0; i < 32; i++)
      out.writeInt8(scale === 0 ? 0 : Math.round(values[from + i] / scale), block * 34 + 2 + i)
  }
  return out
}
