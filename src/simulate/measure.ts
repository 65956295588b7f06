import type { Answered } from './engine.ts'

/** Rows of 100 ms, and windows of 1 s over them. */
export const rowMs = 100
const windowRows = 10
/** An excursion counts when the plant is so far over the budget. */
const excursionShare = 1.02

/** Counts how often a value fell into each of equal bins, for percentiles without keeping the values. */
function histogram(binMs: number, bins: number) {
  const counts = new Uint32Array(bins + 1)
  let total = 0
  return {
    add(value: number): void {
      counts[Math.min(bins, Math.floor(value / binMs))] += 1
      total += 1
    },
    /** The value that this part (0..1) of all stay under; null without values. */
    quantile(part: number): number | null {
      if (total === 0) return null
      let seen = 0
      for (let bin = 0; bin <= bins; bin += 1) {
        seen += counts[bin]
        if (seen >= part * total) return (bin + 1) * binMs
      }
      return bins * binMs
    },
    /** Part of the values over this one. */
    over(value: number): number {
      if (total === 0) return 0
      let above = 0
      for (let bin = Math.ceil(value / binMs); bin <= bins; bin += 1) above += counts[bin]
      return above / total
    },
  }
}

/** Adds up what a simulation shows, as it goes: true watts, windows, excursions, waits. */
export function createMeasure() {
  const tokenGaps = histogram(1, 2000)
  const firstTokens = histogram(10, 6000)
  const rows: { readonly watts: number; readonly budget: number }[] = []
  let windows = 0
  let windowsOver = 0
  let overSinceMs: number | null = null
  let longestExcursionMs = 0
  let excursions = 0
  let worstWindowShare = 0
  let budgetBefore = Number.NEGATIVE_INFINITY
  let loweredAtMs = Number.NEGATIVE_INFINITY
  let settledMs = 0
  let tjSum = 0
  let tjMost = Number.NEGATIVE_INFINITY
  let count = 0

  return {
    /** A stretch of even power. */
    stretch(fromMs: number, untilMs: number, watts: number, budgetWatts: number): void {
      if (budgetWatts < budgetBefore) loweredAtMs = fromMs
      budgetBefore = budgetWatts
      if (watts > budgetWatts && fromMs - loweredAtMs < 1000) settledMs = Math.max(settledMs, untilMs - loweredAtMs)
      if (watts <= excursionShare * budgetWatts) {
        overSinceMs = null
        return
      }
      overSinceMs ??= fromMs
      const before = longestExcursionMs
      longestExcursionMs = Math.max(longestExcursionMs, untilMs - overSinceMs)
      if (untilMs - overSinceMs > 200 && (fromMs - overSinceMs <= 200 || before === 0)) excursions += 1
    },
    row(watts: number, budgetWatts: number, tjCelsius: number): void {
      rows.push({ watts, budget: budgetWatts })
      if (rows.length > windowRows) rows.shift()
      tjSum += tjCelsius
      tjMost = Math.max(tjMost, tjCelsius)
      count += 1
      if (rows.length < windowRows) return
      // A window over a budget edge is held against the mean of the budgets in it.
      let used = 0
      let allowed = 0
      for (const row of rows) {
        used += row.watts
        allowed += row.budget
      }
      windows += 1
      if (used > allowed) windowsOver += 1
      worstWindowShare = Math.max(worstWindowShare, used / allowed)
    },
    answered({ waitedMs, first }: Answered): void {
      if (first) firstTokens.add(waitedMs)
      else tokenGaps.add(waitedMs)
    },
    tokenGaps,
    firstTokens,
    result: () => ({
      windows,
      windowsOver,
      windowsOverShare: windows === 0 ? 0 : windowsOver / windows,
      worstWindowShare,
      excursions,
      longestExcursionMs,
      /** Longest time from a lower budget until the plant was under it for good (for the second that follows). */
      settledMs,
      tjMeanCelsius: count === 0 ? null : tjSum / count,
      tjMostCelsius: count === 0 ? null : tjMost,
    }),
  }
}
export type Measure = ReturnType<typeof createMeasure>
