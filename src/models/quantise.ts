import type { Rounding } from './onnx/weights.ts'

/** A weight matrix [rows, columns] as ONNX Runtime's MatMulNBits wants it: blocks run along the columns. */
export interface QuantisedMatrix {
  readonly rows: number
  readonly columns: number
  readonly bits: 4 | 8
  readonly block: number
  /** [rows, blocks, block·bits/8]; int4 packs two values a byte, low half first. Columns beyond the last are zeros. */
  readonly data: Uint8Array
  /** [rows, blocks] */
  readonly scales: Float32Array
}

/**
 * Scales to try, as fractions of the one that just covers the largest weight. Clipping that weight pays at 4 bits, where a
 * finer step serves all the others (deap.md §4.10); not at 8.
 */
const searches: Readonly<Record<4 | 8, readonly number[]>> = {
  4: [1.04, 1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68],
  8: [1],
}

/**
 * Rounds to symmetric blocks for the least squared error. Several scales propose codes; codes are judged by the
 * error under *their* best scale Σwq/Σq², which is also the one that is stored. The sign of the scale follows the largest
 * weight, so that the one extra negative code covers it.
 */
export function quantise(
  weights: Float32Array,
  rows: number,
  columns: number,
  bits: 4 | 8,
  block: number,
  rounding: Rounding = 'searched',
): QuantisedMatrix {
  const blocks = Math.ceil(columns / block)
  const bytes = (block * bits) / 8
  const data = new Uint8Array(rows * blocks * bytes).fill(bits === 4 ? 0x88 : 0x80)
  const scales = new Float32Array(rows * blocks)
  const pack = bits === 4 ? packNibbles : packBytes
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const start = row * columns + b * block
      const end = Math.min(start + block, (row + 1) * columns)
      const covering = coveringScale(weights, start, end, 2 ** (bits - 1))
      if (covering === 0) continue
      const at = row * blocks + b
      const step = rounding === 'nearest' ? covering : bestStep(weights, start, end, bits, covering)
      scales[at] = rounding === 'nearest' ? covering : bestScale(weights, start, end, bits, step)
      pack(weights, start, end, 1 / step, data, at * bytes)
    }
  }
  return { rows, columns, bits, block, data, scales }
}

/** The scale under which the largest weight gets the lowest code; 0 for a block of zeros. */
function coveringScale(weights: Float32Array, start: number, end: number, offset: number): number {
  let low = 0
  let high = 0
  for (let i = start; i < end; i++) {
    const weight = weights[i]
    if (weight < low) low = weight
    else if (weight > high) high = weight
  }
  // The scale is stored as float32, and too small a block vanishes in it.
  const scale = Math.fround((high > -low ? -high : -low) / offset)
  return Math.abs(scale) < smallestScale ? 0 : scale
}

/** Below this the reciprocal would leave float32's range. */
const smallestScale = 2 ** -126

/** The rounding step whose codes explain the most. */
function bestStep(weights: Float32Array, start: number, end: number, bits: 4 | 8, covering: number): number {
  let best = covering
  let most = -1
  for (const fraction of searches[bits]) {
    const [wq, qq] = project(weights, start, end, bits, covering * fraction)
    if (wq * wq > most * qq) {
      most = (wq * wq) / qq
      best = covering * fraction
    }
  }
  return best
}

/** The scale of least squared error for the codes that rounding by `step` gives. */
function bestScale(weights: Float32Array, start: number, end: number, bits: 4 | 8, step: number): number {
  const [wq, qq] = project(weights, start, end, bits, step)
  return qq === 0 ? step : wq / qq
}

/** Σwq and Σq² of the last `project`: it runs ten times over every weight, so it makes no garbage. */
const projection: [wq: number, qq: number] = [0, 0]

/** Correlates the weights with the codes that rounding by `step` gives. The result is overwritten by the next call. */
function project(
  weights: Float32Array,
  start: number,
  end: number,
  bits: 4 | 8,
  step: number,
): readonly [number, number] {
  const inverse = 1 / step
  const offset = bits === 4 ? 8 : 128
  const highest = 2 * offset - 1
  const half = offset + 0.5
  let wq = 0
  let qq = 0
  for (let i = start; i < end; i++) {
    const weight = weights[i]
    // Truncation rounds to nearest, because what it truncates is positive, or below the lowest code anyway.
    let code = (weight * inverse + half) | 0
    if (code > highest) code = highest
    else if (code < 0) code = 0
    const q = code - offset
    wq += weight * q
    qq += q * q
  }
  projection[0] = wq
  projection[1] = qq
  return projection
}

function packNibbles(
  weights: Float32Array,
  start: number,
  end: number,
  inverse: number,
  into: Uint8Array,
  at: number,
): void {
  for (let i = start; i < end; i += 2) {
    let low = (weights[i] * inverse + 8.5) | 0
    if (low > 15) low = 15
    else if (low < 0) low = 0
    let high = i + 1 < end ? (weights[i + 1] * inverse + 8.5) | 0 : 8
    if (high > 15) high = 15
    else if (high < 0) high = 0
    into[at + ((i - start) >> 1)] = low | (high << 4)
  }
}

function packBytes(
  weights: Float32Array,
  start: number,
  end: number,
  inverse: number,
  into: Uint8Array,
  at: number,
): void {
  for (let i = start; i < end; i++) {
    into[at + i - start] = Math.min(255, Math.max(0, (weights[i] * inverse + 128.5) | 0))
  }
}

/** The weights that a quantised matrix stands for, [rows, columns], written to the start of `into`. */
export function dequantise(
  { rows, columns, bits, block, data, scales }: QuantisedMatrix,
  into: Float32Array = new Float32Array(rows * columns),
): Float32Array {
  const blocks = Math.ceil(columns / block)
  const bytes = (block * bits) / 8
  const offset = 2 ** (bits - 1)
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const scale = scales[row * blocks + b]
      const base = (row * blocks + b) * bytes
      const start = row * columns + b * block
      const count = Math.min(block, columns - b * block)
      if (bits === 8) for (let k = 0; k < count; k++) into[start + k] = (data[base + k] - offset) * scale
      else {
        for (let k = 0; k < count; k++) {
          into[start + k] = (((data[base + (k >> 1)] >> ((k & 1) << 2)) & 0xf) - offset) * scale
        }
      }
    }
  }
  return into
}
