import { DeapdError } from '../errors.ts'

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
export const singles = Float32Array.from({ length: 1 << 16 }, (_, half) => halfToFloat(half))

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
