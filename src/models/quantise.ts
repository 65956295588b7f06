/** A weight matrix [rows, columns] as ONNX Runtime's MatMulNBits wants it: blocks run along the columns. */
export interface QuantisedMatrix {
  readonly rows: number
  readonly columns: number
  readonly bits: 4 | 8
  readonly block: number
  /** [rows, blocks, block·bits/8]; int4 packs two values a byte, low half first. */
  readonly data: Uint8Array
  /** [rows, blocks] */
  readonly scales: Float32Array
}

/** Scales tried per block, as fractions of the one that just covers the largest weight (deap.md §4.10). */
const candidates: Readonly<Record<4 | 8, readonly number[]>> = {
  4: [1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72],
  8: [1],
}

/**
 * Rounds to symmetric blocks, choosing each block's scale for the least squared error. The sign of the scale follows the
 * largest weight, so that the one extra negative code covers it.
 */
export function quantise(
  weights: Float32Array,
  rows: number,
  columns: number,
  bits: 4 | 8,
  block: number,
): QuantisedMatrix {
  const blocks = Math.ceil(columns / block)
  const bytes = (block * bits) / 8
  const offset = 2 ** (bits - 1)
  const data = new Uint8Array(rows * blocks * bytes).fill(bits === 4 ? 0x88 : 0x80)
  const scales = new Float32Array(rows * blocks)
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const start = row * columns + b * block
      const end = Math.min(start + block, (row + 1) * columns)
      const scale = bestScale(weights, start, end, bits)
      scales[row * blocks + b] = scale
      if (scale === 0) continue
      const base = (row * blocks + b) * bytes
      for (let i = start; i < end; i++) {
        const code = round(weights[i], scale, offset) + offset
        const k = i - start
        if (bits === 8) data[base + k] = code
        else if (k % 2 === 0) data[base + (k >> 1)] = (data[base + (k >> 1)] & 0xf0) | code
        else data[base + (k >> 1)] = (data[base + (k >> 1)] & 0x0f) | (code << 4)
      }
    }
  }
  return { rows, columns, bits, block, data, scales }
}

const round = (weight: number, scale: number, offset: number): number =>
  Math.max(-offset, Math.min(offset - 1, Math.round(weight / scale)))

function bestScale(weights: Float32Array, start: number, end: number, bits: 4 | 8): number {
  let largest = 0
  for (let i = start; i < end; i++) if (Math.abs(weights[i]) > Math.abs(largest)) largest = weights[i]
  if (largest === 0) return 0
  const offset = 2 ** (bits - 1)
  // The scale is stored as float32: the error must be that of the stored value.
  const covering = Math.fround(-largest / offset)
  let best = covering
  let leastError = Number.POSITIVE_INFINITY
  for (const fraction of candidates[bits]) {
    const scale = Math.fround(covering * fraction)
    let error = 0
    for (let i = start; i < end; i++) error += (round(weights[i], scale, offset) * scale - weights[i]) ** 2
    if (error < leastError) {
      leastError = error
      best = scale
    }
  }
  return best
}

/** The weights that a quantised matrix stands for, [rows, columns]. */
export function dequantise({ rows, columns, bits, block, data, scales }: QuantisedMatrix): Float32Array {
  const blocks = Math.ceil(columns / block)
  const bytes = (block * bits) / 8
  const offset = 2 ** (bits - 1)
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(i / columns)
    const column = i % columns
    const b = Math.floor(column / block)
    const k = column % block
    const base = (row * blocks + b) * bytes
    const code = bits === 8 ? data[base + k] : (data[base + (k >> 1)] >> (k % 2 === 0 ? 0 : 4)) & 0xf
    return (code - offset) * scales[row * blocks + b]
  })
}
