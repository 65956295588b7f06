import { mixedAnova } from '../statistics/anova.ts'
import { cochranQ } from '../statistics/proportions.ts'
import type { Variance } from './report.ts'
import type { Tables } from './table.ts'

/**
 * ln E of decoding, arm × power state within prompts, stratum between them: a prompt belongs to one stratum and is
 * answered in every arm and state. Prompts that need no decode step in some arm have no logarithm and are left out.
 */
export function analyseVariance({ arms, data, strata, stratumOf }: Tables): Variance | null {
  const states = data.powerStates.filter((state) => arms.every(({ run }) => run.trials[state]))
  const columns = arms.flatMap(({ run }) => states.map((state) => run.trials[state].decodeJoules))
  const kept = stratumOf.flatMap((_, i) => (columns.every((column) => column[i] > 0) ? [i] : []))
  const full = strata.every((_, g) => kept.filter((i) => stratumOf[i] === g).length > 1)
  if (arms.length < 2 || !full) return null
  return {
    design:
      'Repeated measures on ln J of decoding: arm and power state vary within a prompt, the stratum between prompts (split plot). ' +
      'Type III sums; Greenhouse–Geisser corrects for unequal covariances; generalised η² counts the stratum as observed.',
    prompts: kept.length,
    leftOut: stratumOf.length - kept.length,
    rows: mixedAnova({
      subjects: kept.map((i) => Float64Array.from(columns, (column) => Math.log(column[i]))),
      group: kept.map((i) => stratumOf[i]),
      groups: strata.length,
      first: { name: 'arm', size: arms.length },
      second: { name: 'power state', size: states.length },
      between: 'stratum',
    }),
    cochran: cochranQ(arms.map(({ correct }) => correct)),
  }
}
