/** Seeded uniform numbers in [0, 1): mulberry32, so that a simulated sensor repeats with its seed. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** About normal with mean 0 and deviation 1: the sum of twelve uniforms. */
export function normal(random: () => number): number {
  let sum = -6
  for (let count = 0; count < 12; count += 1) sum += random()
  return sum
}
