import type { SimulatedEngine } from './engine.ts'
import type { Measure } from './measure.ts'

/** What a simulation comes to: all of it simulated, watts and joules those of the plant, not of its sensors. */
export function figuresOf(
  { seconds, tokenSeconds }: { readonly seconds: number; readonly tokenSeconds: number },
  seen: {
    readonly totals: SimulatedEngine['totals']
    readonly measure: Measure
    readonly joules: number
    readonly fanJoules: number
    readonly throttleEvents: number
    readonly ticks: number
  },
) {
  const { totals, measure, joules, fanJoules, throttleEvents, ticks } = seen
  const { tokens, promptTokens, requests, finished, refused, asked, degradedTokens } = totals
  return {
    seconds,
    joules,
    fanJoules,
    meanWatts: joules / seconds,
    tokens,
    promptTokens,
    joulesPerToken: tokens === 0 ? null : joules / tokens,
    tokensPerSecond: tokens / seconds,
    requests,
    finished,
    refused,
    tokensAskedOfFinished: asked,
    degradedTokens,
    tokenGapMsMedian: measure.tokenGaps.quantile(0.5),
    tokenGapMsP95: measure.tokenGaps.quantile(0.95),
    tokensLateShare: tokenSeconds === 0 ? 0 : measure.tokenGaps.over(tokenSeconds * 1000),
    firstTokenMsMedian: measure.firstTokens.quantile(0.5),
    firstTokenMsP95: measure.firstTokens.quantile(0.95),
    throttleEvents,
    ticks,
    ...measure.result(),
  }
}
export type Figures = ReturnType<typeof figuresOf>
