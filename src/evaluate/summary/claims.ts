import { togetherArm } from '../records.ts'
import type { BatchRow, Claim, Comparison, Report } from './report.ts'
import { claimedSaving } from './verdict.ts'
import { number, percent, pValue, signed, withInterval } from './words.ts'

type Findings = Omit<Report, 'verdict' | 'label'>
type Judged = Pick<Claim, 'figure' | 'holds'>

const untested: Judged = { figure: 'no data in this run', holds: null }

interface Row {
  readonly id: string
  readonly what: string
  readonly bar: string
  readonly judge: (of: Findings, main: Comparison) => Judged
}

/** The paper's smaller statements and our own, a row each; ids are those of the claims' list that the tests name. */
const rows: readonly Row[] = [
  {
    id: 'N1r',
    what: 'the whole request, full-level prefill included, saves as much',
    bar: `≥ ${percent(claimedSaving, 0)}`,
    judge: (_, { requestSaving }) => ({
      figure: withInterval(requestSaving, percent),
      holds: requestSaving.low >= claimedSaving,
    }),
  },
  {
    id: 'N1j',
    what: 'levels, clocks and drafts together',
    bar: `≥ ${percent(claimedSaving, 0)} at the 1.5-point margin`,
    judge: ({ arms, comparisons, reference }) => {
      const joint = arms.filter(({ kind }) => kind === 'joint').map(({ arm }) => arm)
      const rows = comparisons.filter(({ arm, against }) => joint.includes(arm) && against === reference)
      if (rows.length === 0) return untested
      const figure = rows.map(
        ({ arm, decodeSaving, accuracyPoints }) =>
          `${arm} ${withInterval(decodeSaving, percent)}, ${signed(accuracyPoints.value)} points`,
      )
      // The other arm of this kind uses no levels: its figure stands beside, the claim is about all three.
      const holds = rows.some(
        ({ arm, decodeSaving, margins }) =>
          arm === togetherArm && decodeSaving.low >= claimedSaving && margins[1].passes,
      )
      return { figure: figure.join('; '), holds }
    },
  },
  {
    id: 'N2b',
    what: 'not less accurate at the stricter margin of the paper’s methods',
    bar: '−1.0 point',
    judge: (_, { margins }) => ({ figure: `p ${pValue(margins[0].p)}`, holds: margins[0].passes }),
  },
  {
    id: 'N2c',
    what: 'not less accurate at the margin that the paper tested',
    bar: '−2.0 points',
    judge: (_, { margins }) => ({ figure: `p ${pValue(margins[2].p)}`, holds: margins[2].passes }),
  },
  {
    id: 'X1',
    what: 'equivalent, as the paper words it: neither worse nor better by the margin',
    bar: '±1.5 points, two one-sided tests at 5 %',
    judge: (_, { equivalence: { pLower, pUpper, equivalent } }) => ({
      figure: `p ${pValue(Math.max(pLower, pUpper))}`,
      holds: equivalent,
    }),
  },
  {
    id: 'N5',
    what: 'a level that reads 35 % fewer weight bytes loses little',
    bar: '≤ 1.0 point lost',
    judge: ({ arms, comparisons, reference }) => {
      const level = arms
        .filter(({ kind, share }) => kind === 'level' && share !== null && share <= 0.65)
        .sort((a, b) => (b.share ?? 0) - (a.share ?? 0))[0]
      const row = comparisons.find(({ arm, against }) => arm === level?.arm && against === reference)
      if (!row) return untested
      const figure = `${withInterval(row.accuracyPoints, (x) => signed(x))} points at ${percent(1 - (level.share ?? 1), 0)} fewer bytes`
      // The reference must have a point to lose: its own accuracy is among the arms.
      const dense = arms.find(({ arm }) => arm === reference)
      return { figure, holds: row.accuracyPoints.value >= -1 && (dense?.accuracyPercent.value ?? 0) > 1 }
    },
  },
  {
    id: 'N7',
    what: 'ten thousand paired trials, and an effect that matters',
    bar: 'n ≥ 10,000, p < 0.001',
    judge: ({ arms }, { rawDecode: { t, df, p, dz } }) => ({
      figure: `n ${number(arms[0].prompts)}, t(${number(df, 0)}) = ${number(t)}, p ${pValue(p)}, d_z ${number(dz, 2)}`,
      holds: arms[0].prompts >= 10_000 && p < 0.001,
    }),
  },
  {
    id: 'N8',
    what: 'the last 2 points of accuracy cost about 40 % of the energy',
    bar: '35 to 45 %',
    judge: ({ lastPoints }) =>
      lastPoints === null
        ? untested
        : {
            figure: withInterval(lastPoints.share, percent),
            holds: lastPoints.share.value >= 0.35 && lastPoints.share.value <= 0.45,
          },
  },
  {
    id: 'N9',
    what: 'speed follows sparsity',
    bar: 'r ≥ 0.94 over at least 5 levels',
    judge: ({ scaling }) =>
      scaling === null
        ? untested
        : {
            figure: `r ${number(scaling.throughput.r, 3)} over ${scaling.points.length} levels, ${percent(scaling.elasticity, 0)} of the time goes with the bytes`,
            holds: scaling.throughput.r >= 0.94 && scaling.points.length >= 5,
          },
  },
  {
    id: 'S2',
    what: 'harder prompts use larger levels',
    bar: 'easy < medium < hard, each p < 0.01',
    judge: ({ levels: { byStratum, steps } }) => ({
      figure: byStratum.map(({ stratum, level }) => `${stratum} ${number(level.value, 2)}`).join(', '),
      holds: steps.length > 0 && steps.every(({ test, holmP }) => test.difference.value > 0 && holmP < 0.01),
    }),
  },
  {
    id: 'M9',
    what: 'loss per joule finds a better frontier than every other order',
    bar: 'hypervolume ≥ 10 % larger, interval of the difference above 0',
    judge: ({ frontiers: { contests } }) =>
      contests.length === 0
        ? untested
        : {
            figure: contests
              .map(({ against, ratio }) => `${against} ${withInterval(ratio, (x) => `${number(x, 2)}×`)}`)
              .join('; '),
            holds: contests.every(({ ratio, difference }) => ratio.value >= 1.1 && difference.low > 0),
          },
  },
  {
    id: 'M3',
    what: 'routing by complexity beats its contest at equal joules',
    bar: '≥ 1 point more accurate, interval above 0',
    judge: ({ comparisons, primary }) => {
      const contests = comparisons.filter(({ arm, question }) => arm === primary && question !== null)
      if (contests.length === 0) return untested
      const figure = contests
        .map((row) => `${row.against}: ${withInterval(row.accuracyPoints, (x) => signed(x))} points`)
        .join('; ')
      return {
        figure,
        holds: contests.every(({ accuracyPoints }) => accuracyPoints.value >= 1 && accuracyPoints.low > 0),
      }
    },
  },
  {
    id: 'M11',
    what: 'joules per right answer, whole request',
    bar: '−45 %',
    judge: ({ arms, primary, reference }) => {
      const [own, dense] = [primary, reference].map((name) => arms.find(({ arm }) => arm === name)?.joulesPerCorrect)
      if (!own || !dense) return untested
      const saving = 1 - own.value / dense.value
      return { figure: percent(-saving), holds: saving >= 0.45 }
    },
  },
  {
    id: 'S17',
    what: 'energy grows less than linearly with the batch for DEAP, linearly for the dense network',
    bar: 'exponent’s interval below 1 for DEAP, around 1 for dense',
    judge: ({ batches, primary, reference }) => {
      const [own, dense] = [primary, reference].map((name) => batches.find(({ arm }) => arm === name))
      if (!own || !dense) return untested
      const say = ({ arm, law }: BatchRow): string => `${arm} ${withInterval(law.exponent, (x) => number(x, 2))}`
      return {
        figure: `${say(own)}; ${say(dense)}`,
        holds: own.law.exponent.high < 1 && dense.law.exponent.low <= 1 && dense.law.exponent.high >= 1,
      }
    },
  },
  {
    id: 'S20',
    what: 'steadier tokens under throttling',
    bar: 'p99/p50 no larger than the dense network’s',
    judge: ({ throttling, primary, reference }) => {
      const [own, dense] = [primary, reference].map((name) => throttling.find(({ arm }) => arm === name))
      if (!own || !dense) return untested
      return { figure: `${number(own.ratio, 2)} against ${number(dense.ratio, 2)}`, holds: own.ratio <= dense.ratio }
    },
  },
]

export const judgeClaims = (of: Findings, main: Comparison): Claim[] =>
  rows.map(({ id, what, bar, judge }) => ({ id, what, bar, ...judge(of, main) }))
