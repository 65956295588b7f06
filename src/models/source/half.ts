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
