import { median, spread } from '../../dist/evaluate/statistics/quantiles.js'
import { fitLine } from '../../dist/evaluate/statistics/regression.js'
import { calmly } from '../calm.mjs'

/** Every level in turns, the line through their times, and what a change of level costs. */
export async function levels({ deapd, manifest, tokens }) {
  const { decode } = await calmly([deapd.pid], () => deapd.bench({ contextTokens: 128, tokens: tokens * 2 }))
  const points = decode.map(({ share, ms }) => [share, median(ms)])
  const { intercept, slope, r } = fitLine(points)
  const full = manifest.levels.length - 1
  // In turns every token follows a change of level; alone, none does.
  const alone = await calmly([deapd.pid], () => deapd.bench({ contextTokens: 128, tokens: tokens * 2, levels: [full] }))
  const turns = await calmly([deapd.pid], () =>
    deapd.bench({ contextTokens: 128, tokens: tokens * 2, levels: [full, 0] }),
  )
  return {
    values: {
      fit_share: slope / (intercept + slope),
      fit_r: r,
      smallest_share: manifest.levels[0].share,
      switching: median(turns.decode[0].ms) / median(alone.decode[0].ms),
    },
    details: {
      ms_per_token: decode.map(({ level, share, ms }) => ({ level, share, ...spread(ms) })),
      intercept_ms: intercept,
      slope_ms: slope,
    },
  }
}
