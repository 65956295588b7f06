import type { AnovaRow } from '../statistics/anova.ts'
import type { Comparison, Report } from '../summary/report.ts'
import { number, percent, pValue, signed, withInterval } from '../summary/words.ts'
import { el, escapeText } from './svg.ts'
import { chip, type Row, soft, table } from './table.ts'

const range = ({ low, high }: { low: number; high: number }, digits: number): string =>
  `[${number(low, digits)}, ${number(high, digits)}]`

export function armsTable({ arms, reference, primary }: Report): string {
  const rows = arms.map(
    (arm): Row => ({
      class: arm.arm === primary ? 'main' : arm.arm === reference ? 'reference' : undefined,
      cells: [
        escapeText(arm.title),
        number(arm.accuracyPercent.value, 1) + soft(range(arm.accuracyPercent, 1)),
        number(arm.bytesPerToken / 1e9, 2),
        number(arm.joulesPerToken, 3),
        number(arm.decodeJoules),
        number(arm.requestJoules),
        number(arm.tokensPerSecond, 1),
        number(arm.gramsPerThousand),
        arm.joulesPerCorrect ? number(arm.joulesPerCorrect.value) + soft(range(arm.joulesPerCorrect, 2)) : '–',
        number(arm.efficiencyRatio, 1),
        arm.conversion ? number(arm.conversion.efficiency, 2) : '–',
      ],
    }),
  )
  const heads = [
    'arm',
    'right, %',
    'GB/token',
    'J/token',
    'J decode',
    'J request',
    'tokens/s',
    'g/1,000',
    'J/right',
    'acc %/J',
    'ECE',
  ]
  return table(heads, rows)
}

export function claimsTable({ verdict }: Report): string {
  const all = [verdict.energy, verdict.accuracy, ...verdict.others]
  return table(
    ['', 'claim', 'bar', 'found', ''],
    all.map(({ id, what, bar, figure, holds }) => ({
      cells: [soft(id), escapeText(what), escapeText(bar), escapeText(figure), chip(holds)],
    })),
    'words',
  )
}

const titleOf = (report: Report, arm: string): string => report.arms.find((each) => each.arm === arm)?.title ?? arm

const isContest = ({ question }: Comparison): boolean => question !== null

export function energyTests(report: Report): string {
  const rows = report.comparisons.map(
    (row): Row => ({
      class: row.arm === report.primary && !isContest(row) ? 'main' : undefined,
      cells: [
        escapeText(titleOf(report, row.arm)) + (isContest(row) ? soft(`against ${titleOf(report, row.against)}`) : ''),
        `${number(100 * row.decodeSaving.value, 1)}${soft(`[${number(100 * row.decodeSaving.low, 1)}, ${number(100 * row.decodeSaving.high, 1)}]`)}`,
        number(row.logDecode.estimate.value, 3) + soft(range(row.logDecode.estimate, 3)),
        number(row.logDecode.t) + soft(`df ${number(row.logDecode.df, 0)}`),
        number(row.logDecode.dz, 2),
        escapeText(pValue(row.holm.energyP)),
        number(row.rawDecode.estimate.value) + soft(`t ${number(row.rawDecode.t)}, d_z ${number(row.rawDecode.dz, 2)}`),
        escapeText(pValue(row.wilcoxon.p)) + soft(`r ${number(row.wilcoxon.r, 2)}`),
        number(row.logRequest.estimate.value, 3),
      ],
    }),
  )
  return table(
    [
      'arm',
      'saved, %',
      'ratio (geom.)',
      't of ln J',
      'd_z',
      'p (Holm)',
      'ΔJ, paired t',
      'Wilcoxon p',
      'ratio, request',
    ],
    rows,
  )
}

export function accuracyTests(report: Report): string {
  const rows = report.comparisons.map(
    (row): Row => ({
      class: row.arm === report.primary && !isContest(row) ? 'main' : undefined,
      cells: [
        escapeText(titleOf(report, row.arm)) +
          (row.question ? soft(`${row.question} Against ${titleOf(report, row.against)}`) : ''),
        signed(row.accuracyPoints.value) + soft(range(row.accuracyPoints, 2)),
        `${row.discordant.gained} / ${row.discordant.lost}`,
        ...row.margins.map(({ p, passes }) => `${passes ? '✓' : '✗'} ${soft(`p ${pValue(p)}`)}`),
        `${row.equivalence.equivalent ? '✓' : '✗'} ${soft(`p ${pValue(Math.max(row.equivalence.pLower, row.equivalence.pUpper))}`)}`,
        escapeText(pValue(row.holm.accuracyP)),
      ],
    }),
  )
  return table(['arm', 'Δ points', 'won / lost', '−1.0', '−1.5', '−2.0', 'TOST ±1.5', 'McNemar p (Holm)'], rows)
}

const anovaCells = (row: AnovaRow): string[] => [
  escapeText(row.effect),
  number(row.f),
  `${number(row.df1)}, ${number(row.df2)}`,
  escapeText(pValue(row.p)),
  number(row.epsilon, 3),
  number(row.etaSquared, 3),
]

export const varianceTable = ({ variance }: Report): string =>
  variance === null
    ? ''
    : table(
        ['effect', 'F', 'df (corrected)', 'p', 'ε', 'generalised η²'],
        variance.rows.map((row) => ({ cells: anovaCells(row) })),
      )

export const frontierTable = ({ frontiers }: Report): string =>
  table(
    ['order', 'hypervolume', 'DEAP over it', 'difference', 'ε-indicator'],
    frontiers.families.map(({ family, hypervolume }) => {
      const contest = frontiers.contests.find(({ against }) => against === family)
      return {
        cells: [
          escapeText(family),
          withInterval(hypervolume, (v) => number(v, 3)),
          contest ? withInterval(contest.ratio, (v) => number(v, 2)) : '–',
          contest ? withInterval(contest.difference, (v) => signed(v, 3)) : '–',
          contest ? number(contest.epsilon, 3) : '–',
        ],
      }
    }),
  )

export function conversionTable({ arms }: Report): string {
  const rows = arms.flatMap((arm) =>
    arm.conversion
      ? [
          {
            cells: [
              escapeText(arm.title),
              number(arm.conversion.hardware, 3),
              number(arm.conversion.algorithm, 3),
              number(arm.conversion.quality, 3),
              number(arm.conversion.efficiency, 3),
            ],
          },
        ]
      : [],
  )
  return rows.length === 0 ? '' : table(['arm', 'η hardware', 'η algorithm', 'q', 'ECE'], rows)
}

export const priorTable = (report: Report): string =>
  report.priors.length === 0
    ? ''
    : table(
        ['arm', 'power state', 'draws', 'decode saving', 'request saving', 'draws ≥ 42 %'],
        report.priors.map((row) => ({
          cells: [
            escapeText(titleOf(report, row.arm)),
            escapeText(row.powerState),
            String(row.draws),
            withInterval(row.decodeSaving, (v) => percent(v)),
            withInterval(row.requestSaving, (v) => percent(v)),
            percent(row.reaches, 0),
          ],
        })),
      )

export function levelTable({ levels }: Report): string {
  const count = levels.byStratum[0]?.shares.length ?? 0
  return table(
    ['stratum', 'mean level', ...Array.from({ length: count }, (_, i) => `level ${i}`), 'above the one before'],
    levels.byStratum.map(({ stratum, level, shares }) => {
      const step = levels.steps.find(({ to }) => to === stratum)
      return {
        cells: [
          escapeText(stratum),
          withInterval(level, (v) => number(v, 2)),
          ...shares.map((share) => percent(share, 0)),
          step
            ? `${signed(step.test.difference.value)} ${soft(`Welch t ${number(step.test.t)}, p ${pValue(step.holmP)}`)}`
            : '–',
        ],
      }
    }),
  )
}

/** Whatever the run wrote down, one line a value. */
export function manifestTable({ manifest }: Report): string {
  const plain = (value: unknown): string =>
    value === null
      ? 'none'
      : typeof value === 'number'
        ? String(Number(value.toPrecision(6)))
        : typeof value === 'object'
          ? '–'
          : String(value)
  const isList = (value: unknown): value is unknown[] =>
    Array.isArray(value) && value.every((each) => each === null || typeof each !== 'object')
  const flat = (value: unknown, key: string): Row[] =>
    !isList(value) && value !== null && typeof value === 'object' && Object.keys(value).length > 0
      ? Object.entries(value).flatMap(([name, inner]) => flat(inner, key === '' ? name : `${key}.${name}`))
      : [
          {
            cells: [
              el('code', {}, escapeText(key)),
              escapeText(isList(value) ? value.map(plain).join(', ') || '–' : plain(value)),
            ],
          },
        ]
  return table([], flat(manifest, ''), 'manifest')
}
