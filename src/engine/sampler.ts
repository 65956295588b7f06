import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { drawNucleus } from './nucleus.ts'
import { createPenalties } from './penalties.ts'
import type { Sampling } from './protocol.ts'
import { above, argmax, type Candidate, largest, lead } from './select.ts'

export interface Choice {
  readonly tokenId: number
  /** Natural logarithm of the model's own probability, before temperature and penalties; null unless asked for. */
  readonly logprob: number | null
  readonly top: readonly { readonly tokenId: number; readonly logprob: number }[] | null
}

export interface Sampler {
  /** Picks the next token of the answer from the model's logits, which it leaves as they are. */
  next(logits: Float32Array): Choice
  /** How far the greedy choice is ahead of the second; infinite where chance decides anyway. */
  lead(logits: Float32Array): number
}

/**
 * A sampler with its own random stream: the same seed, prompt and logits give the same tokens, one draw for each, whoever
 * else is being answered. Temperature 0 is greedy.
 */
export function createSampler(options: Sampling, prompt: readonly number[] = []): Sampler {
  const random = xoroshiro128plus(options.seed ?? Math.floor(Math.random() * 2 ** 32))
  const penalties = createPenalties(options, prompt)
  const uniform = (): number => uniformFloat64(random)
  const isGreedy = options.temperature === 0
  return {
    next(logits) {
      const adjusted = penalties.apply(logits)
      const tokenId = isGreedy ? argmax(adjusted) : draw(adjusted, options, uniform)
      penalties.add(tokenId)
      if (options.topLogprobs === null) return { tokenId, logprob: null, top: null }
      const total = logSum(logits)
      const logprob = ({ tokenId, weight }: Candidate) => ({ tokenId, logprob: weight - total })
      return { tokenId, logprob: logits[tokenId] - total, top: largest(logits, options.topLogprobs).map(logprob) }
    },
    lead: (logits) => (isGreedy ? lead(penalties.apply(logits)) : Number.POSITIVE_INFINITY),
  }
}

/** Logarithm of the sum of the exponentials: subtracted from a logit it gives the logarithm of the probability. */
export function logSum(logits: Float32Array): number {
  const most = logits[argmax(logits)]
  let sum = 0
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - most)
  return most + Math.log(sum)
}

/** Draws from softmax(logits / temperature), cut to the top k, then the top p of those, then at least min p of the first. */
function draw(logits: Float32Array, options: Sampling, uniform: () => number): number {
  const { temperature, topK, topP, minP } = options
  const most = logits[argmax(logits)]
  const weigh = (logit: number): number => Math.exp((logit - most) / temperature)
  if (topK === 0 && topP >= 1 && minP <= 0) return walk(logits, most, temperature, uniform())
  if (topK === 0 && topP < 1) return drawNucleus(logits, { most, temperature, topP, minP }, uniform())
  const kept = candidates(logits, most, options).map(({ tokenId, weight }) => ({ tokenId, weight: weigh(weight) }))
  // The top p is a part of the candidates that top k left.
  const whole = sumOf(kept)
  // The most likely candidate is never cut, so there is always one to draw.
  let count = 0
  for (let mass = 0; count < kept.length; count++) {
    if (count > 0 && ((topP < 1 && mass >= topP * whole) || kept[count].weight < minP)) break
    mass += kept[count].weight
  }
  const nucleus = kept.slice(0, count)
  let target = uniform() * sumOf(nucleus)
  for (const { tokenId, weight } of nucleus) {
    target -= weight
    if (target < 0) return tokenId
  }
  return nucleus[count - 1].tokenId
}

/** Every token that the other cuts can leave, most likely first, found without sorting the vocabulary. */
function candidates(logits: Float32Array, most: number, { temperature, topK, minP }: Sampling) {
  return topK > 0 ? largest(logits, topK) : above(logits, most + temperature * Math.log(minP))
}

/** One of all tokens: sums once, then walks to the one in which the draw lies. */
function walk(logits: Float32Array, most: number, temperature: number, uniform: number): number {
  let target = uniform * sumAll(logits, most, temperature)
  for (let i = 0; i < logits.length; i++) {
    target -= Math.exp((logits[i] - most) / temperature)
    if (target < 0) return i
  }
  return argmax(logits)
}

function sumAll(logits: Float32Array, most: number, temperature: number): number {
  let sum = 0
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] - most) / temperature)
  return sum
}

const sumOf = (kept: readonly Candidate[]): number => kept.reduce((sum, { weight }) => sum + weight, 0)
