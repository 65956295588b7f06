import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'
import { fitLine } from '../../dist/evaluate/statistics/regression.js'
import { calmly } from '../calm.mjs'

/** Every level in turns, the line through their times, and what a change of level costs. */
export async function levels({ deapd, manifest, rounds, tokens }) {
  const { decode } = await calmly([deapd.pid], () => deapd.bench({ contextTokens: 128, tokens: tokens * 2 }))
  const points = decode.map(({ share, ms }) => [share, median(ms)])
  const { intercept, slope, r } = fitLine(points)
  const full = manifest.levels.length - 1
  const ratios = []
  for (let round = -1; round < rounds; round++) {
    // In turns within one run: a token at the full level that follows one at the smallest, and one that follows its like.
    const turns = await calmly([deapd.pid], () =>
      deapd.bench({ contextTokens: 128, tokens: tokens * 4, levels: [full, full, 0] }),
    )
    const [changed, same] = turns.decode.map(({ ms }) => median(ms))
    if (round >= 0) ratios.push(changed / same)
  }
  return {
    values: {
      fit_share: slope / (intercept + slope),
      fit_r: r,
      smallest_share: manifest.levels[0].share,
      switching: spread(ratios),
    },
    details: {
      ms_per_token: decode.map(({ level, share, ms }) => ({ level, share, ...spread(ms) })),
      intercept_ms: intercept,
      slope_ms: slope,
    },
  }
}
