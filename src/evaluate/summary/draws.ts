import { bcaInterval, type OfMeans, resampledMeans } from '../statistics/bootstrap.ts'
import type { Estimate, Numbers } from '../statistics/moments.ts'
import type { Tables } from './table.ts'

/** Bootstrap draws of all arms at once; a statistic names the columns it takes. */
export interface Draws {
  of(columns: readonly Column[], f: OfMeans): Estimate
}

export interface Column {
  readonly arm: string
  readonly what: 'decodeJoules' | 'requestJoules' | 'correct'
}

export const resamples = 2000

/** One set of resampled prompts for the whole report: all intervals describe the same imagined repetitions. */
export function drawPrompts({ arms }: Tables, seed: number): Draws {
  const columns = new Map<string, Numbers>()
  for (const { run, main, correct } of arms) {
    columns.set(`${run.arm} decodeJoules`, main.decodeJoules)
    columns.set(`${run.arm} requestJoules`, main.requestJoules)
    columns.set(`${run.arm} correct`, Float64Array.from(correct))
  }
  const names = [...columns.keys()]
  const draws = resampledMeans({ columns: [...columns.values()], resamples, seed })
  return {
    of(wanted, f) {
      const at = wanted.map(({ arm, what }) => names.indexOf(`${arm} ${what}`))
      const own = at.map((i) => columns.get(names[i]) ?? [])
      return bcaInterval(
        own,
        draws.map((draw) => at.map((i) => draw[i])),
        f,
      )
    },
  }
}
