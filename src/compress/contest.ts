import { join, resolve } from 'node:path'
import { openCheckpoint } from '../models/source/open.ts'
import { byChain, byGates, byLevels, bySearch, type Comparison, compare } from './compare.ts'
import { type Yardstick, yardsticks } from './judge.ts'
import { keyOf, type Pruned, type PruneOptions, pruneCheckpoint } from './prune.ts'
import { type Method, orders } from './rivals.ts'
import { openState } from './state.ts'

/** What is kept of a pruning to compare it: plain JSON. */
export type Entry = { readonly method: Method } & Omit<Pruned, 'energy' | 'rounds'>

/** Frontiers that are compared; `place` is that of the contender, the first is the one the others are held against. */
const frontiers = {
  chain: { says: 'whole orders (points of the chain, no gates, float activations)', by: () => byChain },
  gates: { says: 'orders inside the gates, nothing searched (float activations)', by: () => byGates },
  searched: { says: 'inside the gates, all searched (float activations)', by: () => bySearch },
  alone: {
    says: 'inside the gates, only the first searched (float activations)',
    by: (place: number) => (place === 0 ? bySearch : byGates),
  },
  levels: { says: 'packages as the engine runs them, all searched', by: () => byLevels },
} as const

type Compared = keyof typeof frontiers

/**
 * Prunes by each order in turn, each into its own folder in `out`, with the same gates, the same judge and the same search for
 * levels; the others may also begin at the levels that the first one ended with. After a kill, the same call goes on where it stopped. Throws what `pruneCheckpoint` throws.
 */
export async function prunedByEach(
  source: string,
  out: string,
  options: PruneOptions,
  onPruned: (path: string, pruned: Pruned) => void,
): Promise<Entry[]> {
  const state = openState(out, keyOf(openCheckpoint(resolve(source)), options))
  const entries: Entry[] = []
  for (const method of orders) {
    let entry = state.find<Entry>(method)
    if (entry === undefined) {
      const path = join(out, method)
      const orAt = entries[0]?.manifest.levels.map(({ share }) => share)
      const { energy, rounds, ...rest } = await pruneCheckpoint(source, path, { ...options, method, orAt })
      entry = { method, ...rest }
      state.keep(method, entry)
      onPruned(path, { energy, rounds, ...rest })
    }
    entries.push(entry)
  }
  state.discard()
  return entries
}

/** Every frontier by every yardstick, the first entry against each. */
export const compareAll = (
  entries: readonly Entry[],
  seed: number,
): (Yardstick & { readonly of: Compared; readonly says: string; readonly rows: Comparison[] })[] =>
  (Object.keys(frontiers) as Compared[]).flatMap((of) => {
    const { says, by } = frontiers[of]
    const contenders = entries.map((entry, place) => by(place)(entry.method, entry))
    return yardsticks.map((yardstick) => ({ of, says, ...yardstick, rows: compare(contenders, yardstick, seed) }))
  })
