/** Picking from a row of logits without sorting it: a vocabulary has 32,000 to 128,000 entries, an answer needs a few. */

/** A token and what it weighs: a logit, or a probability up to a factor. */
export interface Candidate {
  readonly tokenId: number
  readonly weight: number
}

/** Heavier first; of equals the smaller id, so that the outcome does not depend on how they were found. */
const byWeight = (a: Candidate, b: Candidate): number => b.weight - a.weight || a.tokenId - b.tokenId

/** The first of the largest values. */
export function argmax(values: Float32Array): number {
  let best = 0
  let largest = values[0]
  for (let i = 1; i < values.length; i++) {
    const value = values[i]
    if (value > largest) {
      largest = value
      best = i
    }
  }
  return best
}

/** How far the largest value is ahead of the second. */
export function lead(values: Float32Array): number {
  let first = Number.NEGATIVE_INFINITY
  let second = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value <= second) continue
    second = Math.min(value, first)
    first = Math.max(value, first)
  }
  return first - second
}

/** The `count` largest values, largest first. One pass: nearly every value loses against the smallest one kept. */
export function largest(values: Float32Array, count: number): readonly Candidate[] {
  if (count <= 0) return []
  if (count === 1) {
    const tokenId = argmax(values)
    return [{ tokenId, weight: values[tokenId] }]
  }
  let kept: Candidate[] = []
  // Twice the wanted number is gathered between two sorts, so that a pass costs few of them.
  let bar = Number.NEGATIVE_INFINITY
  for (let tokenId = 0; tokenId < values.length; tokenId++) {
    const weight = values[tokenId]
    if (weight <= bar) continue
    kept.push({ tokenId, weight })
    if (kept.length < 2 * count + 32) continue
    kept = kept.sort(byWeight).slice(0, count)
    bar = kept[count - 1].weight
  }
  return kept.sort(byWeight).slice(0, count)
}

/** All values of at least `bar`, largest first. */
export function above(values: Float32Array, bar: number): readonly Candidate[] {
  const kept: Candidate[] = []
  for (let tokenId = 0; tokenId < values.length; tokenId++) {
    const weight = values[tokenId]
    if (weight >= bar) kept.push({ tokenId, weight })
  }
  return kept.sort(byWeight)
}
