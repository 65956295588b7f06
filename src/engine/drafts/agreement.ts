import type { Sequence } from '../model.ts'

/** What may decide whether a run of several rows computes what runs of one row do: kernels choose their loops by these. */
export interface RunShape {
  readonly rows: number
  readonly level: number
  /** Tokens in the cache after the run. */
  readonly contextTokens: number
}

/**
 * What has been seen of runs of several rows. `same`: every bit of every row was that of a run of its own. It depends on the
 * library, the processor and the package (int8 keys and values and blocks of 32 are the same to the bit on the CPUs we know,
 * float keys and values are not), so it is tried and never assumed.
 */
export type Agreement = 'untried' | 'same' | 'different'

export interface Agreements {
  of(run: RunShape): Agreement
  note(run: RunShape, same: boolean): void
}

/** Attention is cut up by length: what holds is tried again with every doubling from here on. */
const shortest = 256

const keyOf = ({ rows, contextTokens }: RunShape): string =>
  `${rows} rows, 2^${Math.ceil(Math.log2(Math.max(shortest, contextTokens)))} tokens`

export function createAgreements(): Agreements {
  /** The highest level that was tried, by rows and length; a level runs the products of all below it. */
  const tried = new Map<string, number>()
  let different = false
  return {
    of(run) {
      if (different) return 'different'
      return (tried.get(keyOf(run)) ?? -1) >= run.level ? 'same' : 'untried'
    },
    note(run, same) {
      different ||= !same
      tried.set(keyOf(run), Math.max(run.level, tried.get(keyOf(run)) ?? -1))
    },
  }
}

/** Runs `ids` after what is in the cache, once together and once one by one, and takes them out again: were all logits the same? */
export function agrees(sequence: Sequence, ids: readonly number[], level: number): boolean {
  const { length } = sequence
  const together = Float32Array.from(sequence.run(ids, level, 0))
  sequence.truncate(length)
  const vocabulary = together.length / ids.length
  const same = ids.map((id, row) => {
    const alone = sequence.run([id], level, 0)
    return alone.every((value, i) => Object.is(value, together[row * vocabulary + i]))
  })
  sequence.truncate(length)
  return same.every(Boolean)
}
