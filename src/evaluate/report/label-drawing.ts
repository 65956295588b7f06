import { number } from '../summary/words.ts'
import { canvas } from './figure.ts'
import { bands, type Label } from './label.ts'
import { el, text } from './svg.ts'

const [width, height] = [300, 470]

/** From green to red; the letters are what tells the classes apart. */
const fills = ['#0b7a3b', '#4c9a2a', '#97b81f', '#d8b70c', '#e08a1e', '#d1551f', '#b3261e']

/** The carbon label: what a token and a thousand answers cost, whether the answers can be trusted, and who says so. */
export function labelDrawing(label: Label, standalone: boolean): string {
  const reached = bands.findIndex(({ name }) => name === label.class)
  const arrows = bands.map(({ name, upTo }, i) => {
    const [y, w] = [86 + i * 21, 62 + i * 16]
    const say = Number.isFinite(upTo) ? `≤ ${upTo}` : `> ${bands[i - 1]?.upTo ?? 0}`
    return (
      el('path', {
        d: `M18 ${y}H${18 + w - 8}L${18 + w} ${y + 9}L${18 + w - 8} ${y + 18}H18Z`,
        fill: fills[i],
        stroke: 'none',
        opacity: reached === -1 || reached === i ? 1 : 0.75,
      }) +
      el('text', { x: 26, y: y + 13.5, style: 'fill:#fff;font-weight:700;font-size:12px' }, name) +
      el('text', { x: 18 + w - 12, y: y + 13, 'text-anchor': 'end', style: 'fill:#fff;font-size:9.5px' }, say)
    )
  })
  const pointer =
    reached === -1
      ? text(284, 160, 'not rated', { 'text-anchor': 'end', class: 'label' })
      : el('path', {
          d: `M214 ${95 + reached * 21}L228 ${81 + reached * 21}H284V${109 + reached * 21}H228Z`,
          style: 'fill:var(--ink)',
          stroke: 'none',
        }) +
        el(
          'text',
          {
            x: 256,
            y: 102 + reached * 21,
            'text-anchor': 'middle',
            style: 'fill:var(--paper);font-weight:750;font-size:20px',
          },
          label.class ?? '',
        )
  const rows = labelRows(label).map(([name, value, small], i) => {
    const y = 262 + i * 36
    return (
      el('path', { d: `M18 ${y - 18}H282`, class: 'grid' }) +
      text(18, y, name, { class: 'tick' }) +
      text(282, y, value, { 'text-anchor': 'end', class: 'strong' }) +
      text(282, y + 12, small, { 'text-anchor': 'end', style: 'font-size:9.5px;fill:var(--soft)' })
    )
  })
  return canvas(
    { width, height, label: describe(label), standalone },
    el('rect', {
      x: 1,
      y: 1,
      width: width - 2,
      height: height - 2,
      rx: 14,
      class: 'paper',
      style: 'stroke:var(--ink);stroke-width:2',
    }),
    text(18, 32, 'Carbon label', { style: 'font-size:18px;font-weight:750' }),
    text(18, 50, fit(label.model, 34), { class: 'label' }),
    text(18, 67, fit(`${label.energy_of} on ${label.board}, ${label.power_state}`, 48), {
      style: 'font-size:10px;fill:var(--soft)',
    }),
    ...arrows,
    pointer,
    ...rows,
    text(
      18,
      height - 26,
      fit(
        `Joules ${label.joules}${label.joules === 'simulated' ? ' (priors ±40 %)' : ''}${label.accuracy_kind === 'toy' ? ', toy accuracy' : ''}`,
        56,
      ),
      { style: 'font-size:9.5px;fill:var(--soft)' },
    ),
    text(18, height - 13, fit('Class: J per right answer, % of the full int4 network', 60), {
      style: 'font-size:9.5px;fill:var(--soft)',
    }),
  )
}

type LabelRow = readonly [name: string, value: string, small: string]

export function labelRows(label: Label): LabelRow[] {
  const { certificate, grid } = label
  const accuracy = label.accuracy_percent === null ? 'not evaluated' : `${number(label.accuracy_percent, 1)} %`
  const within =
    label.within_margin === null
      ? ''
      : label.within_margin
        ? `within ${label.margin_points} points of the full network`
        : `not within ${label.margin_points} points`
  return [
    ['energy of a token', `${number(label.joules_per_token, 3)} J`, `${fit(label.policy, 34)}, decoding`],
    [
      '1,000 answers',
      label.grams_per_1000_answers === null ? 'not evaluated' : `${number(label.grams_per_1000_answers)} gCO2eq`,
      `${grid.name} ${grid.grams_per_kwh} g/kWh, ${grid.year}`,
    ],
    ['right answers', accuracy, within],
    ['index', label.index === null ? 'not rated' : number(label.index, 0), 'J per right answer, full int4 = 100'],
    [
      'certificate',
      certificate.state,
      certificate.state === 'none'
        ? ''
        : `≤ ${certificate.margin_points} points, ${100 * (certificate.confidence ?? 0)} % confidence, n ${certificate.n}`,
    ],
  ]
}

const describe = (label: Label): string =>
  `Carbon label of ${label.model}: ${label.class ? `class ${label.class}` : 'not rated'}. ${labelRows(label)
    .map((row) => row.filter(Boolean).join(' '))
    .join('; ')}. Joules ${label.joules}.`

const fit = (words: string, most: number): string => (words.length > most ? `${words.slice(0, most - 1)}…` : words)
