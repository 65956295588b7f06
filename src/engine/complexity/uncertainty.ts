/** How sure a row of logits is of its first choice. */
export interface Uncertainty {
  /** The likeliest token; of equals the first. */
  readonly tokenId: number
  /** Probability of the first choice less that of the second, 0 to 1. */
  readonly margin: number
  /** Entropy over that of an even choice among all tokens, 0 to 1. */
  readonly entropy: number
}

/** Logits this far below the first weigh less than 1e-6 of it: 128,000 of them change neither figure visibly. */
const depth = 14
const stepsPerLogit = 64
/** exp(−x) at every 64th part of a logit: a call of Math.exp for each of 32,000 tokens would take longer than the signals may. */
const powers = Float64Array.from({ length: depth * stepsPerLogit + 1 }, (_, i) => Math.exp(-i / stepsPerLogit))

/** Margin and entropy of softmax(logits), to three digits (signals C3). */
export function uncertaintyOf(logits: Float32Array): Uncertainty {
  let tokenId = 0
  let first = Number.NEGATIVE_INFINITY
  let second = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i]
    if (value <= second) continue
    if (value > first) {
      second = first
      first = value
      tokenId = i
    } else second = value
  }
  // Σ e^(l − first), and Σ e^(l − first) · (first − l).
  let mass = 0
  let moment = 0
  const bar = first - depth
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i]
    if (value <= bar) continue
    const below = first - value
    const weight = powers[(below * stepsPerLogit + 0.5) | 0]
    mass += weight
    moment += weight * below
  }
  const entropy = (Math.log(mass) + moment / mass) / Math.log(logits.length)
  const runnerUp = Number.isFinite(second) ? Math.exp(second - first) : 0
  return { tokenId, margin: (1 - runnerUp) / mass, entropy: Math.min(1, Math.max(0, entropy)) }
}

/**
 * How surprising the end of a prompt is (signal C2): mean −log p of `next[i]` under row i of `logits` [rows, vocabulary],
 * in nats, and how much it rises from the first half of the rows to the second.
 */
export function surprisal(
  logits: Float32Array,
  next: readonly number[],
): { readonly mean: number; readonly rise: number } {
  const vocabulary = logits.length / next.length
  const nats = next.map((id, i) => {
    const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary)
    const most = row.reduce((a, b) => Math.max(a, b))
    return most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) - row[id]
  })
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length)
  const half = nats.length >> 1
  return { mean: mean(nats), rise: mean(nats.slice(half)) - mean(nats.slice(0, half)) }
}
