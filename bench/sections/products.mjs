import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'

/** Short turns, because what slows the machine down changes within seconds. */
const turns = { decode: 16, prefill: 5 }

/** Our own matrix products beside ONNX Runtime's (`runtime`), on the same package, in turns. */
export async function products({ deapd, runtime, tokens, manifest, chunkTokens, log }) {
  const inTurns = async (what, count, measure) => {
    const seen = []
    for (let turn = -1; turn < count; turn++) {
      const own = await measure(deapd)
      const ratio = (await measure(runtime)) / own
      if (turn >= 0) seen.push(ratio)
    }
    log(`products, ${what}: ${median(seen).toFixed(3)}`)
    return spread(seen)
  }
  const decode = (level) =>
    inTurns(`level ${level}`, turns.decode, async ({ bench }) =>
      median((await bench({ contextTokens: 128, tokens, levels: [level] })).decode[0].ms),
    )
  return {
    values: {
      products_full: await decode(manifest.levels.length - 1),
      products_low: await decode(0),
      products_prefill: await inTurns('prefill', turns.prefill, ({ prefill }) => prefill({ tokens: 128, chunkTokens })),
    },
    details: {},
  }
}
