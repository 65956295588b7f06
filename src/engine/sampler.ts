import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { Sampling } from './protocol.ts'

export interface Choice {
  readonly tokenId: number
  /** Natural logarithm of the model's own probability, before temperature and penalties; null unless asked for. */
  readonly logprob: number | null
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[] | null
}

/** Picks the next token from the logits; `recent` are the tokens it may be penalised for. */
export type Sampler = (logits: Float32Array, recent: readonly number[]) => Choice

interface Candidate {
  readonly tokenId: number
  readonly logit: number
}

/** A sampler with its own random stream: the same seed and logits give the same tokens. Temperature 0 is greedy. */
export function createSampler(options: Sampling): Sampler {
  const random = xoroshiro128plus(options.seed ?? Math.floor(Math.random() * 2 ** 32))
  return (logits, recent) => {
    const report = options.topLogprobs === null ? undefined : logprobs(logits)
    const penalised = penalise(logits, recent, options)
    const tokenId =
      options.temperature === 0 ? argmax(penalised) : draw(penalised, options, () => uniformFloat64(random))
    if (!report) return { tokenId, logprob: null, top: null }
    const top = [...report.keys()]
      .sort((a, b) => report[b] - report[a])
      .slice(0, options.topLogprobs ?? 0)
      .map((id) => ({ tokenId: id, logprob: report[id] }))
    return { tokenId, logprob: report[tokenId], top }
  }
}

export function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

/** Log-softmax. */
export function logprobs(logits: Float32Array): Float64Array {
  const largest = logits[argmax(logits)]
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - largest)
  const logSum = largest + Math.log(sum)
  return Float64Array.from(logits, (logit) => logit - logSum)
}

/** OpenAI's presence and frequency penalties subtract; Ollama's repeat penalty divides. */
function penalise(logits: Float32Array, recent: readonly number[], options: Sampling): Float32Array {
  const { presencePenalty, frequencyPenalty, repeatPenalty } = options
  if (recent.length === 0 || (presencePenalty === 0 && frequencyPenalty === 0 && repeatPenalty === 1)) return logits
  const counts = new Map<number, number>()
  for (const id of recent) counts.set(id, (counts.get(id) ?? 0) + 1)
  const out = logits.slice()
  for (const [id, count] of counts) {
    const repeated = out[id] > 0 ? out[id] / repeatPenalty : out[id] * repeatPenalty
    out[id] = repeated - presencePenalty - frequencyPenalty * count
  }
  return out
}

function draw(logits: Float32Array, { temperature, topK, topP, minP }: Sampling, uniform: () => number): number {
  const sorted = Array.from(logits, (logit, tokenId): Candidate => ({ tokenId, logit })).sort(
    (a, b) => b.logit - a.logit,
  )
  const kept = topK > 0 ? sorted.slice(0, topK) : sorted
  const weights = kept.map(({ logit }) => Math.exp((logit - kept[0].logit) / temperature))
  const total = weights.reduce((a, b) => a + b, 0)
  // The most likely candidate is never cut, so there is always one to draw.
  let count = 0
  for (let mass = 0; count < weights.length; count++) {
    if (count > 0 && (mass >= topP * total || weights[count] < minP * weights[0])) break
    mass += weights[count]
  }
  let target = uniform() * weights.slice(0, count).reduce((a, b) => a + b, 0)
  for (let i = 0; i < count; i++) {
    target -= weights[i]
    if (target < 0) return kept[i].tokenId
  }
  return kept[count - 1].tokenId
}
