import { holm } from '../statistics/holm.ts'
import { mean, variance } from '../statistics/moments.ts'
import { welchT } from '../statistics/t-test.ts'
import type { LevelUse } from './report.ts'
import type { Tables } from './table.ts'

/** A position in the answer is shown while this share of a stratum's answers still runs. */
const stillRunning = 0.05

/** Which levels the primary arm used: easy prompts should take smaller ones than hard ones. */
export function levelUse({ primary, strata, stratumOf }: Tables): LevelUse {
  const { answers } = primary.run
  const count = 1 + Math.max(0, ...answers.map(({ levels }) => Math.max(0, ...levels)))
  const groups = strata.map((stratum, g) => ({
    stratum,
    rows: answers.filter((_, i) => stratumOf[i] === g).map(({ levels }) => levels),
  }))
  // The first token of every answer comes from the prompt's run, at the full level: it would make short answers look hard.
  const decoded = groups.map(({ rows }) => rows.map((levels) => levels.slice(1)).filter((levels) => levels.length > 0))
  const means = decoded.map((rows) => rows.map((levels) => mean(levels)))
  const steps = groups.slice(1).map(({ stratum }, i) => ({
    from: groups[i].stratum,
    to: stratum,
    test: welchT(means[i + 1], means[i]),
  }))
  const adjusted = holm(steps.map(({ test }) => (Number.isNaN(test.p) ? 1 : test.p)))
  return {
    overTime: groups.flatMap(({ stratum, rows }) => {
      const longest = Math.max(0, ...rows.map((levels) => levels.length))
      return Array.from({ length: longest }, (_, token) => {
        const running = rows.filter((levels) => token < levels.length)
        return { stratum, token, level: mean(running.map((levels) => levels[token])), n: running.length }
      }).filter(({ n }) => n >= stillRunning * rows.length)
    }),
    byStratum: groups.map(({ stratum }, i) => {
      const value = mean(means[i])
      const half = 1.96 * Math.sqrt(variance(means[i]) / means[i].length)
      const flat = decoded[i].flat()
      return {
        stratum,
        level: { value, low: value - half, high: value + half },
        shares: Array.from({ length: count }, (_, level) => flat.filter((l) => l === level).length / flat.length),
      }
    }),
    steps: steps.map((step, i) => ({ ...step, holmP: adjusted[i] })),
  }
}
