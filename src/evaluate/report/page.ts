import type { Claim, Report } from '../summary/report.ts'
import { number, percent, signed } from '../summary/words.ts'
import { drawing, type Figure, provenance } from './figure.ts'
import { labelDrawing } from './label-drawing.ts'
import { pageStyle } from './page-style.ts'
import { figuresOf } from './plots.ts'
import { el, escapeText } from './svg.ts'
import { chip } from './table.ts'
import {
  accuracyTests,
  armsTable,
  claimsTable,
  conversionTable,
  energyTests,
  frontierTable,
  levelTable,
  manifestTable,
  priorTable,
  varianceTable,
} from './tables.ts'

const p = (words: string, className?: string): string => el('p', { class: className }, escapeText(words))
const h2 = (words: string): string => el('h2', {}, escapeText(words))
const h3 = (words: string): string => el('h3', {}, escapeText(words))

/** The whole report as one file: no script, no font, nothing fetched. */
export function page(report: Report): string {
  const { manifest } = report
  const figures = figuresOf(report)
  const body = el(
    'main',
    {},
    el('h1', {}, escapeText(`${manifest.model}: energy and accuracy`)),
    p(
      `${number(manifest.prompts)} paired prompts · ${manifest.board}, ${report.mainPowerState} · energy of ${manifest.energyOf} · ${manifest.date.slice(0, 10)}`,
      'sub',
    ),
    el(
      'div',
      { class: 'badges' },
      ...provenance(manifest)
        .split(' · ')
        .map((words) => el('span', { class: 'badge' }, words)),
    ),
    p(warning(report), 'soft'),
    verdictCard(report),
    el('div', { class: 'top' }, tiles(report), el('div', { class: 'label' }, labelDrawing(report.label, false))),
    h2('Arms'),
    p(
      'Means over all prompts. “Decode” leaves the prompt’s run out, “request” has it in. g/1,000: gCO2eq of a thousand answers. J/right: joules of all answers per right one. acc %/J is the paper’s Efficiency Ratio, which rewards knowing nothing for nothing; ECE is explained below.',
      'caption',
    ),
    armsTable(report),
    h2('Figures'),
    ...figures.map((figure) => inPage(figure, report)),
    h2('Claims, one by one'),
    p('The two halves of the verdict first; the ids are those of our list of the paper’s claims.', 'caption'),
    claimsTable(report),
    h2('Statistics'),
    ...statistics(report),
    h2('The run'),
    p('Everything that is needed to repeat it.', 'caption'),
    manifestTable(report),
  )
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeText(manifest.model)}: deapd evaluate</title><style>${pageStyle}</style></head><body>${body}</body></html>\n`
}

function warning({ manifest }: Report): string {
  const parts = [
    manifest.joules === 'simulated'
      ? `No joule here was measured: a model of the board computes them from the tokens, levels and contexts of the answers, as ${manifest.energyOf} would need them; its priors are uncertain by ±40 %.`
      : 'Joules were measured on the board.',
    manifest.accuracy === 'toy'
      ? 'The answers are a small model’s on a synthetic benchmark: they say how the method behaves, not how accurate a 7B would be.'
      : '',
  ]
  return parts.join(' ').trim()
}

function verdictCard({ verdict }: Report): string {
  const half = ({ what, bar, figure, holds }: Claim): string =>
    el(
      'div',
      { class: 'half' },
      chip(holds),
      ' ',
      escapeText(what),
      el('b', {}, escapeText(figure)),
      el('span', { class: 'soft' }, escapeText(`bar: ${bar}`)),
    )
  return el(
    'section',
    { class: `card verdict${verdict.holds ? ' pass' : ''}` },
    el('h2', {}, verdict.holds ? 'The claim holds' : 'The claim is missed'),
    p(verdict.because),
    el('div', { class: 'halves' }, half(verdict.energy), half(verdict.accuracy)),
    p(
      'Both must hold at their own 95 % (intersection-union test), so no correction for there being two is needed.',
      'soft',
    ),
  )
}

function tiles(report: Report): string {
  const own = report.arms.find(({ arm }) => arm === report.primary)
  const dense = report.arms.find(({ arm }) => arm === report.reference)
  const main = report.comparisons.find(({ arm, against }) => arm === report.primary && against === report.reference)
  const joint = report.arms.find(({ kind }) => kind === 'joint')
  const together = report.comparisons.find(({ arm, against }) => arm === joint?.arm && against === report.reference)
  const tile = (name: string, value: string, small: string): string =>
    el(
      'div',
      { class: 'tile' },
      el('dt', {}, escapeText(name)),
      el('dd', {}, escapeText(value), el('small', {}, escapeText(small))),
    )
  return el(
    'dl',
    { class: 'tiles' },
    ...(main
      ? [
          tile(
            'decode energy',
            percent(-main.decodeSaving.value),
            `95 %: ${percent(-main.decodeSaving.high)} to ${percent(-main.decodeSaving.low)}`,
          ),
          tile('whole request', percent(-main.requestSaving.value), 'full-level prefill included'),
          tile(
            'right answers',
            `${signed(main.accuracyPoints.value)} points`,
            `95 %: ${signed(main.accuracyPoints.low)} to ${signed(main.accuracyPoints.high)}`,
          ),
        ]
      : []),
    ...(together && joint ? [tile('with clocks and drafts', percent(-together.decodeSaving.value), joint.title)] : []),
    ...(own && dense
      ? [
          tile('per decoded token', `${number(own.joulesPerToken, 3)} J`, `dense ${number(dense.joulesPerToken, 3)} J`),
          tile(
            '1,000 answers',
            `${number(own.gramsPerThousand)} gCO2eq`,
            `dense ${number(dense.gramsPerThousand)} g; ${report.manifest.grid.name} ${report.manifest.grid.gramsPerKwh} g/kWh, ${report.manifest.grid.year}`,
          ),
        ]
      : []),
  )
}

const inPage = (figure: Figure, { manifest }: Report): string =>
  el(
    'figure',
    { id: figure.id },
    drawing(figure, manifest, false),
    el('figcaption', {}, escapeText(figure.caption), ' ', el('a', { href: `${figure.id}.svg` }, `${figure.id}.svg`)),
  )

function statistics(report: Report): string[] {
  const { frontiers, lastPoints, variance, strata } = report
  return [
    h3('Energy, paired'),
    p(
      'Saved: share of all joules, with a bias-corrected and accelerated bootstrap over prompts. Ratio: geometric mean over prompts of an arm’s joules to the reference’s, from Student’s paired t on logarithms; d_z is the effect size (mean over deviation of the differences). Holm corrects p over the rows. ΔJ is the same on plain joules, as the paper did it; Wilcoxon asks for no distribution, r is its rank correlation.',
      'caption',
    ),
    energyTests(report),
    h3('Accuracy, paired'),
    p(
      'Δ: difference in right answers with Tango’s score interval. A margin is passed (✓) when the one-sided p is below 0.025, that is when the whole interval lies above it. TOST asks for equivalence: neither worse nor better by 1.5 points. McNemar’s exact test asks for any difference.',
      'caption',
    ),
    accuracyTests(report),
    ...(variance
      ? [
          h3('Analysis of variance'),
          p(
            `${variance.design} ${number(variance.prompts)} prompts${variance.leftOut > 0 ? `, ${number(variance.leftOut)} left out because an arm needed no decode step for them` : ''}. η² is the share of variation that goes with an effect.`,
            'caption',
          ),
          varianceTable(report),
          p(
            `Right and wrong is not a matter for it; Cochran’s Q over all arms is ${number(variance.cochran.q)} with ${variance.cochran.df} degrees of freedom, p ${pOf(variance.cochran.p)}.`,
            'caption',
          ),
        ]
      : []),
    h3('Frontiers'),
    p(
      `Hypervolume: share of the rectangle from nothing to (${number(frontiers.corner.decodeJoules)} J, ${number(frontiers.corner.errorPercent, 1)} % wrong) that an order’s points beat, the dense network among them; the corner is 1.1 times its energy and 10 points more errors. Bootstrap over prompts. ε-indicator: the factor by which DEAP’s points must shrink to beat all of the other’s; at most 1 is better everywhere.`,
      'caption',
    ),
    frontierTable(report),
    ...(lastPoints
      ? [
          p(
            `The last ${lastPoints.points} points of accuracy cost ${percent(lastPoints.share.value)} (95 %: ${percent(lastPoints.share.low)} to ${percent(lastPoints.share.high)}) of the most accurate point’s energy, read off the frontier of the levels; the paper says about 40 %.`,
          ),
        ]
      : []),
    h3('Levels and difficulty'),
    p(
      `Mean level of the decoded tokens of the routed arm in ${strata.join(', ')} prompts, and where its tokens were decided.`,
      'caption',
    ),
    levelTable(report),
    ...(report.priors.length > 0
      ? [
          h3('If the model of the board is wrong'),
          p(
            'Savings when all priors of the energy model are drawn at once within their ±40 %: median and the middle 95 % of draws.',
            'caption',
          ),
          priorTable(report),
        ]
      : []),
    ...(report.arms.some(({ conversion }) => conversion)
      ? [
          h3('Energy Conversion Efficiency'),
          p(
            'The paper names it and does not define it. Ours is η hardware · η algorithm · q: energy of the same work at the board’s best clock over energy spent; weight bytes per token of the dense network over those moved; accuracy kept, 0 outside the margin. The dense network at the best clock has 1.',
            'caption',
          ),
          conversionTable(report),
        ]
      : []),
  ]
}

const pOf = (value: number): string => (value < 1e-4 ? '< 0.0001' : number(value, 4))
