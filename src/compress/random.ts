import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** The numbers from 0 to `count` − 1 in an order that follows from the seed. */
export function seededShuffle(count: number, seed: number): Int32Array {
  const generator = xoroshiro128plus(seed)
  const order = Int32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = uniformInt(generator, 0, i)
    const swapped = order[i]
    order[i] = order[j]
    order[j] = swapped
  }
  return order
}

/** Gives samples of `count` out of `count` numbers with replacement, one after the other. */
export function seededDraws(count: number, seed: number): () => Int32Array {
  const generator = xoroshiro128plus(seed)
  return () => Int32Array.from({ length: count }, () => uniformInt(generator, 0, count - 1))
}
