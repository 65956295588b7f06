import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'

/**
 * Time per token against the bytes read, as the cache grows. The cache is filled with made-up values. Three times the usual tokens:
 * a ratio of ratios wants steadier medians.
 */
export async function context({ deapd, manifest, rounds, tokens, kvBytesPerToken }) {
  const full = manifest.levels.length - 1
  const contexts = [100, 1000, 3000]
  const seen = new Map(contexts.map((contextTokens) => [contextTokens, []]))
  /** The smallest level, which reads the keys and values of its own heads only, over the full one. */
  const smallest = []
  for (let round = -1; round < rounds; round++) {
    for (const contextTokens of contexts) {
      const ms = await deapd.decode({ contextTokens, tokens: 3 * tokens, level: full })
      if (round >= 0) seen.get(contextTokens).push(median(ms))
    }
    const longest = contexts[contexts.length - 1]
    const ms = await deapd.decode({ contextTokens: longest, tokens: 3 * tokens, level: 0 })
    if (round >= 0) smallest.push(median(ms) / seen.get(longest)[round])
  }
  const bytes = (contextTokens) => manifest.levels[full].weight_bytes + contextTokens * kvBytesPerToken
  const over = (contextTokens) =>
    spread(seen.get(contextTokens).map((ms, i) => ms / seen.get(100)[i] / (bytes(contextTokens) / bytes(100))))
  return {
    values: { context_1000: over(1000), context_3000: over(3000), context_3000_smallest: spread(smallest) },
    details: {
      ms_per_token: Object.fromEntries([...seen].map(([contextTokens, ms]) => [contextTokens, spread(ms)])),
      kv_bytes_per_token: kvBytesPerToken,
    },
  }
}
