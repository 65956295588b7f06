import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Seeded draws for the dialogue generator: the same seed gives the same corpus on every machine. */
export interface Random {
  /** A whole number in [low, high], both ends included. */
  int(low: number, high: number): number
  /** One of the items; undefined only when there are none. */
  pick<T>(items: readonly T[]): T
  /** True with probability `p`. */
  chance(p: number): boolean
  /** `count` different items, in random order. */
  sample<T>(items: readonly T[], count: number): T[]
}

export function seededRandom(seed: number): Random {
  const generator = xoroshiro128plus(seed)
  const int = (low: number, high: number): number => uniformInt(generator, low, high)
  return {
    int,
    pick: (items) => items[int(0, Math.max(0, items.length - 1))],
    chance: (p) => int(0, 999_999) < p * 1_000_000,
    sample: (items, count) => {
      const pool = [...items]
      const taken: typeof pool = []
      while (taken.length < count && pool.length > 0) {
        taken.push(pool.splice(int(0, pool.length - 1), 1)[0])
      }
      return taken
    },
  }
}
