import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'

/**
 * Decode beside llama.cpp: full level and smallest level, llama.cpp with and without flash attention (its better one
 * counts), and the machine's read bandwidth, all in turns.
 */
export async function speed({ deapd, llama, readers, rounds, tokens, manifest, kvBytesPerToken, log }) {
  const full = manifest.levels.length - 1
  const seen = {}
  const note = (key, ms) => {
    seen[key] ??= []
    seen[key].push(median(ms))
  }
  const bandwidths = []
  for (let round = -1; round < rounds; round++) {
    const keep = round < 0 ? () => undefined : note
    for (const contextTokens of [128, 16]) {
      keep(`deapd ${contextTokens}`, await deapd.decode({ contextTokens, tokens, level: full }))
      keep(`fa ${contextTokens}`, await llama.decode({ contextTokens, tokens, flashAttention: true }))
      keep(`no fa ${contextTokens}`, await llama.decode({ contextTokens, tokens, flashAttention: false }))
    }
    keep('deapd low', await deapd.decode({ contextTokens: 128, tokens, level: 0 }))
    const bytesPerSecond = await readers.measure()
    if (round >= 0) bandwidths.push(bytesPerSecond)
    log(`decode, round ${round + 1} of ${rounds}`)
  }
  const better = (context) => (median(seen[`fa ${context}`]) < median(seen[`no fa ${context}`]) ? 'fa' : 'no fa')
  const theirs = (context) => seen[`${better(context)} ${context}`]
  // Ratios within a round: what slows the machine down for seconds slows both sides.
  const ratio = (ours, other) => spread(ours.map((ms, i) => other[i] / ms))
  const bytes = manifest.levels[full].weight_bytes + (128 + tokens / 2) * kvBytesPerToken
  const share = seen['deapd 128'].map((ms, i) => bytes / (ms / 1000) / bandwidths[i])
  return {
    values: {
      decode_128: ratio(seen['deapd 128'], theirs(128)),
      decode_16: ratio(seen['deapd 16'], theirs(16)),
      decode_42: ratio(seen['deapd low'], theirs(128)),
      bandwidth: spread(share),
    },
    details: {
      ms_per_token: Object.fromEntries(Object.entries(seen).map(([key, ms]) => [key.replaceAll(' ', '_'), spread(ms)])),
      flash_attention_of_llama: { 128: better(128) === 'fa', 16: better(16) === 'fa' },
      read_bandwidth_gb_per_s: spread(bandwidths.map((b) => b / 1e9)),
      bytes_per_token_gb: bytes / 1e9,
    },
  }
}
