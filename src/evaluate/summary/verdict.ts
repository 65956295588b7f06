import type { Claim, Comparison, LevelUse, Verdict } from './report.ts'
import type { Tables } from './table.ts'
import { number, percent, signed, withInterval } from './words.ts'

/** The paper's headline: mean energy falls by this share … */
export const claimedSaving = 0.42

/**
 * The primary claim: the saving's 95 % interval lies above 42 % and the accuracy's above −1.5 points, both. Of the saving,
 * the ratio of totals (what a battery notices) and the geometric mean (what a typical answer saves) must both reach it.
 */
export function judge(tables: Tables, comparison: Comparison, levels: LevelUse, others: readonly Claim[]): Verdict {
  const { logDecode, decodeSaving, accuracyPoints, margins } = comparison
  const typical = {
    value: 1 - logDecode.estimate.value,
    low: 1 - logDecode.estimate.high,
    high: 1 - logDecode.estimate.low,
  }
  const against = `${tables.reference.run.title}, same prompts, ${tables.data.mainPowerState}`
  const energy: Claim = {
    id: 'N1',
    what: `${tables.primary.run.title} saves decode energy against ${against}`,
    bar: `≥ ${percent(claimedSaving, 0)}, lower end of the 95 % interval`,
    figure: `${withInterval(decodeSaving, percent)} of all joules; ${withInterval(typical, percent)} of a typical answer`,
    holds: decodeSaving.low >= claimedSaving && typical.low >= claimedSaving,
  }
  const accuracy: Claim = {
    id: 'N2',
    what: `it is not less accurate by ${number(margins[1].marginPoints, 1)} points or more`,
    bar: `lower end of the 95 % interval > −${number(margins[1].marginPoints, 1)} points`,
    figure: `${withInterval(accuracyPoints, (x) => signed(x))} points${floor(tables, margins[1].marginPoints)}`,
    holds: margins[1].passes,
  }
  const holds = energy.holds === true && accuracy.holds === true
  return { holds, energy, accuracy, because: because(tables, energy, accuracy, levels), others }
}

function because(tables: Tables, energy: Claim, accuracy: Claim, levels: LevelUse): string {
  const { primary } = tables
  const tokens = primary.run.answers.flatMap(({ levels: used }) => used.slice(1))
  const full = Math.max(0, ...primary.run.answers.map(({ levels: used }) => used[0] ?? 0))
  const atFull = tokens.length === 0 ? 0 : tokens.filter((level) => level === full).length / tokens.length
  const cheapest = tables.arms
    .filter(({ run }) => run.kind === 'level')
    .reduce<{ title: string; saving: number } | null>((best, { run, main }) => {
      const saving = 1 - sum(main.decodeJoules) / sum(tables.reference.main.decodeJoules)
      return best && best.saving >= saving ? best : { title: run.title, saving }
    }, null)
  const hardest = levels.byStratum.reduce((a, b) => (b.level.value > a.level.value ? b : a), levels.byStratum[0])
  const apart = levels.byStratum.some(({ level }) => level.value < hardest.level.value)
  const use = `${percent(atFull, 0)} of the decoded tokens were read at the full level${apart ? `, and the mean level is highest for ${hardest?.stratum} prompts` : ''}`
  const bound = cheapest ? `; the smallest level by itself saves ${percent(cheapest.saving)}` : ''
  if (energy.holds && accuracy.holds) return `Both parts hold. ${use}${bound}.`
  if (!energy.holds && !accuracy.holds) return `Neither part holds. ${use}${bound}.`
  if (!energy.holds) return `The accuracy holds, the saving falls short: ${use}${bound}.`
  return `The saving holds, the accuracy is not shown to: the interval reaches below the margin. ${use}${bound}.`
}

/** A reference that is hardly ever right makes every margin easy, and the test worthless. */
function floor({ reference }: Tables, marginPoints: number): string {
  const right = (100 * reference.correct.filter(Boolean).length) / reference.correct.length
  return right > marginPoints
    ? ''
    : `; the full network itself is right in ${number(right, 1)} %: nothing to lose, nothing shown`
}

const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)
