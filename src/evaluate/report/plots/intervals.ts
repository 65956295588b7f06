import type { Comparison, PriorRow, Report } from '../../summary/report.ts'
import { number, percent, signed } from '../../summary/words.ts'
import { type Box, bottomAxis, type Figure, legend, width } from '../figure.ts'
import { lookOf } from '../palette.ts'
import { linear } from '../scales.ts'
import { el, line, mark, text } from '../svg.ts'

const rowHeight = 24

/** Differences in accuracy with the margins they are held against: a whole interval right of a line passes it. */
export function marginFigure({ comparisons, arms, reference }: Report): Figure | null {
  const rows = comparisons.filter(({ against }) => against === reference)
  if (rows.length === 0) return null
  const box: Box = { left: 290, right: width - 168, top: 30, bottom: 30 + rows.length * rowHeight }
  const x = linear([-6, 2], [box.left, box.right], { count: 8 })
  const [low, high] = x.domain
  const titles = new Map(
    arms.map(({ arm, title, family, kind }) => [
      arm,
      { title, look: lookOf(kind === 'routed' ? 'deap + routed' : family) },
    ]),
  )
  const margins = [-1, -1.5, -2].map(
    (at) =>
      line(x(at), box.top - 6, x(at), box.bottom, { class: `s2 line thin ${at === -1.5 ? '' : 'dotted'}` }) +
      text(x(at), box.top - (at === -1.5 ? 20 : 10), signed(at, 1), {
        class: 's2-text value',
        'text-anchor': 'middle',
      }),
  )
  const drawn = rows.map((row, i) => {
    const y = box.top + (i + 0.5) * rowHeight
    const { title, look } = titles.get(row.arm) ?? { title: row.arm, look: lookOf('') }
    const { value, low: from, high: to } = row.accuracyPoints
    const inside = (v: number): number => x(Math.min(high, Math.max(low, v)))
    const name = text(box.left - 12, y + 4, shorten(title, 40), { 'text-anchor': 'end', class: 'value' })
    const figures = text(width - 12, y + 4, `${signed(value)} [${signed(from)}, ${signed(to)}]`, {
      'text-anchor': 'end',
      class: 'value',
    })
    if (to < low)
      return (
        name +
        figures +
        mark('triangle', x(low) + 5, y, 5, { class: look.series, transform: `rotate(-90 ${x(low) + 5} ${y})` })
      )
    return (
      name +
      figures +
      line(inside(from), y, inside(to), y, { class: `${look.series} line` }) +
      (value >= low
        ? mark(row.margins[1].passes ? 'circle' : 'square', inside(value), y, 5, {
            class: `${look.series}${row.margins[1].passes ? '' : ' hollow'}`,
          })
        : '')
    )
  })
  return {
    id: 'non-inferiority',
    title: 'Accuracy against the dense network',
    caption:
      'Difference in right answers on the same prompts, percentage points, with Tango’s 95 % interval. An arm passes a margin when its whole interval lies to the right of the line (filled: passes 1.5). A triangle stands for an interval further left.',
    height: box.bottom + 48,
    body:
      bottomAxis(box, { scale: x, label: 'percentage points' }) +
      line(x(0), box.top - 6, x(0), box.bottom, { class: 'axis' }) +
      margins.join('') +
      drawn.join(''),
  }
}

/** Savings with their two kinds of uncertainty: other prompts (bars) and other boards than the model of one (bands). */
export function savingFigure({ comparisons, arms, reference, priors, mainPowerState }: Report): Figure | null {
  const shown = new Set(
    arms.filter(({ kind }) => kind === 'routed' || kind === 'joint' || kind === 'level').map(({ arm }) => arm),
  )
  const rows = comparisons.filter(({ arm, against }) => against === reference && shown.has(arm))
  if (rows.length === 0) return null
  const tall = 40
  const box: Box = { left: 290, right: width - 150, top: 44, bottom: 44 + rows.length * tall }
  const values = rows.flatMap(({ decodeSaving, requestSaving }) => [
    decodeSaving.low,
    decodeSaving.high,
    requestSaving.low,
  ])
  // A level that cannot stop talking may cost several times the dense network: it leaves the figure on the left.
  const least = Math.max(-25, Math.min(0, 100 * Math.min(...values)))
  const x = linear([least, 100 * Math.max(0.5, ...values)], [box.left, box.right])
  const drawn = rows.map((row, i) => {
    const prior = priors.find(({ arm, powerState }) => arm === row.arm && powerState === mainPowerState)
    const title = arms.find(({ arm }) => arm === row.arm)?.title ?? row.arm
    return savingRow(row, prior, title, box.top + i * tall, (share) => x(Math.max(x.domain[0], 100 * share)), box)
  })
  return {
    id: 'savings',
    title: 'Energy saved against the dense network',
    caption: `In ${mainPowerState}. Filled: decoding; hollow: the whole request with its full-level prefill. Bars: 95 % interval over prompts. Bands: the middle 95 % when the priors of the energy model are drawn within ±40 %. The line is the claim. A mark on the left edge may lie further left: see its figures.`,
    height: box.bottom + 48,
    body:
      bottomAxis(box, { scale: x, label: 'saved, %' }) +
      line(x(42), box.top - 8, x(42), box.bottom, { class: 's2 line thin' }) +
      text(x(42), box.top - 12, '42', { class: 's2-text value', 'text-anchor': 'middle' }) +
      legend(12, 14, [
        { name: 'decoding', key: (a, b) => mark('circle', a, b, 5, { class: 's1' }) },
        { name: 'whole request', key: (a, b) => mark('circle', a, b, 5, { class: 's1 hollow' }) },
        ...(priors.length > 0
          ? [
              {
                name: 'priors drawn within ±40 %',
                key: (a: number, b: number) =>
                  el('rect', { x: a - 9, y: b - 5, width: 18, height: 10, class: 's1 band' }),
              },
            ]
          : []),
      ]) +
      drawn.join(''),
  }
}

function savingRow(
  row: Comparison,
  prior: PriorRow | undefined,
  title: string,
  top: number,
  x: (share: number) => number,
  box: Box,
): string {
  const one = (what: 'decodeSaving' | 'requestSaving', y: number): string => {
    const { value, low, high } = row[what]
    const drawn = prior?.[what]
    return (
      (drawn
        ? el('rect', {
            x: x(drawn.low),
            y: y - 6,
            width: Math.max(1, x(drawn.high) - x(drawn.low)),
            height: 12,
            rx: 2,
            class: 's1 band',
          })
        : '') +
      line(x(low), y, x(high), y, { class: 's1 line' }) +
      mark('circle', x(value), y, 5, { class: what === 'decodeSaving' ? 's1' : 's1 hollow' }) +
      text(width - 12, y + 4, `${percent(value)} [${number(100 * low, 1)}, ${number(100 * high, 1)}]`, {
        'text-anchor': 'end',
        class: 'value',
      })
    )
  }
  return (
    text(box.left - 12, top + 24, shorten(title, 40), { 'text-anchor': 'end', class: 'value' }) +
    one('decodeSaving', top + 11) +
    one('requestSaving', top + 28)
  )
}

const shorten = (title: string, most: number): string => (title.length > most ? `${title.slice(0, most - 1)}…` : title)
