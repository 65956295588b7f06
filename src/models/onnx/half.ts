import { DeapdError } from '../../errors.ts'

/** Element types that activations, and whatever is combined with them, can have in a graph. */
export type Activations = 'float32' | 'float16'
export const bytesOf: Readonly<Record<Activations, number>> = { float32: 4, float16: 2 }

const single = new Float32Array(1)
const bits = new Uint32Array(single.buffer)

/** IEEE 754 half precision of a number, rounded to nearest, ties to even. Throws `import_unsupported` beyond ±65504. */
export function toHalf(value: number): number {
  single[0] = value
  const sign = (bits[0] >>> 16) & 0x8000
  const exponent = ((bits[0] >>> 23) & 0xff) - 112
  const fraction = bits[0] & 0x7fffff
  if (exponent >= 31) throw tooLarge(value)
  const shift = exponent > 0 ? 13 : 14 - exponent
  if (shift > 24) return sign
  const whole = exponent > 0 ? (exponent << 23) | fraction : fraction | 0x800000
  const kept = whole >>> shift
  const rest = whole & ((1 << shift) - 1)
  const tie = 1 << (shift - 1)
  const rounded = kept + (rest > tie || (rest === tie && (kept & 1) === 1) ? 1 : 0)
  if (rounded >= 0x7c00) throw tooLarge(value)
  return sign | rounded
}

const tooLarge = (value: number): DeapdError =>
  new DeapdError('import_unsupported', {
    path: 'the checkpoint',
    detail: `it has a weight of ${value}, which float16 cannot hold`,
  })

/** The values as they are written for graphs of this kind. */
export function asActivations(values: Float32Array, type: Activations): Float32Array | Uint16Array {
  return type === 'float32' ? values : Uint16Array.from(values, toHalf)
}
