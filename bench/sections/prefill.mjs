import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'

/** Prompts beside llama.cpp: ours in the scheduler's chunks, as the product runs them, and in one run for information. */
export async function prefill({ deapd, llama, rounds, chunkTokens, log }) {
  const values = {}
  const details = {}
  for (const tokens of [128, 512]) {
    const seen = { chunked: [], whole: [], fa: [], no_fa: [] }
    for (let round = -1; round < rounds; round++) {
      const ms = {
        chunked: await deapd.prefill({ tokens, chunkTokens }),
        fa: await llama.prefill({ tokens, flashAttention: true }),
        no_fa: await llama.prefill({ tokens, flashAttention: false }),
        whole: await deapd.prefill({ tokens, chunkTokens: tokens }),
      }
      if (round >= 0) for (const [key, value] of Object.entries(ms)) seen[key].push(value)
      log(`prefill ${tokens}, round ${round + 1} of ${rounds}`)
    }
    const better = median(seen.fa) < median(seen.no_fa) ? 'fa' : 'no_fa'
    values[`prefill_${tokens}`] = spread(seen.chunked.map((ms, i) => seen[better][i] / ms))
    details[tokens] = {
      tokens_per_second: Object.fromEntries(
        Object.entries(seen).map(([key, list]) => [key, spread(list.map((ms) => (tokens / ms) * 1000))]),
      ),
      chunk_tokens: chunkTokens,
      flash_attention_of_llama: better === 'fa',
    }
  }
  return { values, details }
}
