/** Where a draft comes from, best guess first: how many tokens back the text repeats itself, or what followed a token last. */
export type DraftSource = 'lookup-4' | 'lookup-3' | 'lookup-2' | 'recycling'

export interface Draft {
  readonly source: DraftSource
  /** Tokens that may come next; never empty. */
  readonly ids: readonly number[]
}

/** What followed each token when it was last seen, over all answers (token recycling); −1 for never. */
export type Successors = Int32Array

/** Drafts for one answer, from its prompt and what it has said so far (prompt lookup), else from the successors. */
export interface Proposer {
  add(tokenId: number): void
  /** Up to `most` tokens that may follow, or null. */
  propose(most: number): Draft | null
}

const sizes = [4, 3, 2] as const

/** Without `successors` drafts come from the text alone. */
export function createProposer(prompt: readonly number[], successors: Successors | null): Proposer {
  const ids: number[] = []
  /** Per size: hash of the last tokens → where the text went on after them. */
  const seen = sizes.map(() => new Map<number, number>())

  const hash = (end: number, size: number): number => {
    let h = size
    for (let i = end - size; i < end; i++) h = (Math.imul(h, 0x9e3779b1) + ids[i] + 1) | 0
    return h
  }
  const add = (tokenId: number): void => {
    // What precedes this token is followed by it; the newest place counts.
    for (const [i, size] of sizes.entries()) if (ids.length >= size) seen[i].set(hash(ids.length, size), ids.length)
    if (successors && ids.length > 0) successors[ids[ids.length - 1]] = tokenId
    ids.push(tokenId)
  }
  for (const id of prompt) add(id)

  const lookUp = (most: number): Draft | null => {
    for (const [i, size] of sizes.entries()) {
      const at = ids.length >= size ? seen[i].get(hash(ids.length, size)) : undefined
      if (at === undefined) continue
      // Hashes collide; a draft from a wrong place would only be refused, but it would count against the source.
      const same = Array.from({ length: size }, (_, k) => ids[at - 1 - k] === ids[ids.length - 1 - k]).every(Boolean)
      if (same) return { source: `lookup-${size}`, ids: ids.slice(at, at + most) }
    }
    return null
  }
  const recycle = (most: number): Draft | null => {
    if (!successors) return null
    const chain: number[] = []
    for (let id = successors[ids[ids.length - 1]]; id >= 0 && chain.length < most; id = successors[id]) chain.push(id)
    return chain.length > 0 ? { source: 'recycling', ids: chain } : null
  }
  return { add, propose: (most) => (most > 0 && ids.length > 0 ? (lookUp(most) ?? recycle(most)) : null) }
}
