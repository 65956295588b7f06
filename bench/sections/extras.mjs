import { greedy } from '../../dist/engine/protocol.js'
import { createSampler } from '../../dist/engine/sampler.js'
import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'
import { calmly } from '../calm.mjs'

/** What it costs to verify a draft: a run of S tokens over a run of one, and how many must be accepted for it to pay. */
export async function drafts({ deapd, tokens }) {
  const sizes = [1, 2, 3, 4, 5, 8]
  const { verify } = await calmly([deapd.pid], () =>
    deapd.bench({ contextTokens: 128, tokens: tokens * 2, levels: [], verify: sizes }),
  )
  const one = median(verify[0].ms)
  return {
    values: Object.fromEntries(
      verify.slice(1).map(({ tokens: size, ms }) => [`verify_${size}`, spread(ms.map((t) => t / one))]),
    ),
    details: { ms: Object.fromEntries(verify.map(({ tokens: size, ms }) => [size, spread(ms)])) },
  }
}

const plain = { ...greedy, seed: 1 }
const ways = {
  greedy: plain,
  'top-p 0.9, temperature 0.8': { ...plain, temperature: 0.8, topP: 0.9 },
  'top-k 40, top-p 0.95, penalties': { ...plain, temperature: 0.8, topK: 40, topP: 0.95, repeatPenalty: 1.1 },
  '20 logprobs': { ...plain, topLogprobs: 20 },
}

/** Microseconds to choose a token from the logits of LLaMA-2's and LLaMA-3's vocabulary, way by way. */
export async function sampling() {
  const details = {}
  for (const vocabulary of [32_000, 128_256]) {
    // Peaked like a language model's: a few likely tokens over a wide floor.
    const logits = Float32Array.from({ length: vocabulary }, (_, i) => 4 * Math.sin(i * 12.9898) + 12 / (1 + (i % 997)))
    details[vocabulary] = {}
    for (const [name, options] of Object.entries(ways)) {
      const sampler = createSampler(options, [1, 2, 3])
      const times = Array.from({ length: 300 }, () => {
        const from = performance.now()
        sampler.next(logits)
        return (performance.now() - from) * 1000
      })
      details[vocabulary][name] = spread(times.slice(100))
    }
  }
  const worst = Math.max(...Object.values(details[32_000]).map((times) => times.median))
  return { values: { sampling_us: worst }, details }
}
