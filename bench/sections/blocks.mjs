import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'

/** Short turns, because what slows the machine down changes within seconds. */
const turns = 24

/** Blocks of 256 (`wide`) beside blocks of 128, full level and smallest, in turns. */
export async function blocks({ deapd, wide, tokens, manifest, log }) {
  const decode = async ({ bench }, level) =>
    median((await bench({ contextTokens: 128, tokens, levels: [level] })).decode[0].ms)
  const ratios = async (level) => {
    const seen = []
    for (let turn = -1; turn < turns; turn++) {
      const narrow = await decode(deapd, level)
      const ratio = narrow / (await decode(wide, level))
      if (turn >= 0) seen.push(ratio)
    }
    log(`blocks, level ${level}: ${median(seen).toFixed(3)}`)
    return spread(seen)
  }
  return { values: { wide_full: await ratios(manifest.levels.length - 1), wide_low: await ratios(0) }, details: {} }
}
