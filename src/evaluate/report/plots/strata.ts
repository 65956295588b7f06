import type { Report } from '../../summary/report.ts'
import { number, percent } from '../../summary/words.ts'
import { type Box, bottomAxis, endLabels, type Figure, leftAxis, legend, width } from '../figure.ts'
import { lookOf, stratumSeries } from '../palette.ts'
import { linear } from '../scales.ts'
import { el, line, path, text } from '../svg.ts'

/** Energy of an answer in each stratum: dense beside ours. */
export function strataFigure({ byStratum, strata, arms, reference, mainPowerState }: Report): Figure | null {
  const shown = arms.filter(({ arm, kind }) => arm === reference || kind === 'routed' || kind === 'joint')
  const cells = (stratum: string) =>
    shown.flatMap((arm) => {
      const row = byStratum.find((each) => each.arm === arm.arm && each.stratum === stratum)
      return row ? [{ arm, row }] : []
    })
  const box: Box = { left: 56, right: width - 20, top: 52, bottom: 316 }
  const y = linear(
    [
      0,
      1.12 *
        Math.max(
          ...byStratum
            .filter(({ arm }) => shown.some((s) => s.arm === arm))
            .map(({ decodeJoules }) => decodeJoules.high),
        ),
    ],
    [box.bottom, box.top],
  )
  const room = (box.right - box.left) / strata.length
  const bar = Math.min(70, (room - 40) / shown.length)
  const look = (arm: (typeof shown)[number]) =>
    arm.arm === reference ? lookOf('dense') : lookOf(arm.kind === 'routed' ? 'deap' : arm.family)
  // Arms of one look stand side by side: the second is fainter.
  const isSecond = (i: number): boolean => shown[i].kind === 'joint' && shown[i - 1]?.kind === 'joint'
  const bars = strata.flatMap((stratum, g) => {
    const left = box.left + g * room + (room - bar * shown.length) / 2
    return [
      text(box.left + (g + 0.5) * room, box.bottom + 20, stratum, { 'text-anchor': 'middle', class: 'strong' }),
      ...cells(stratum).map(({ arm, row }, i) => {
        const x = left + i * bar
        const { value, low, high } = row.decodeJoules
        const middle = x + bar / 2
        const faint = isSecond(i)
        return (
          el('rect', {
            x: x + 3,
            y: y(value),
            width: bar - 6,
            height: box.bottom - y(value),
            rx: 3,
            class: `${look(arm).series} bar`,
            opacity: faint ? 0.55 : 1,
          }) +
          line(middle, y(low), middle, y(high), { class: 'axis' }) +
          text(middle, y(high) - 18, `${number(value)} J`, { 'text-anchor': 'middle', class: 'value strong' }) +
          text(middle, y(high) - 5, percent(row.accuracyPercent.value / 100, 1), {
            'text-anchor': 'middle',
            class: 'note',
          })
        )
      }),
    ]
  })
  return {
    id: 'strata',
    title: 'Energy of an answer, by difficulty',
    caption: `Mean decode energy in ${mainPowerState}, 95 % interval of the mean as a stroke; below the joules the share of right answers.`,
    height: 346,
    body:
      leftAxis(box, { scale: y, label: '' }) +
      line(box.left, box.bottom, box.right, box.bottom, { class: 'axis' }) +
      legend(
        12,
        12,
        shown.map((arm, i) => ({
          name: arm.title.length > 30 ? `${arm.title.slice(0, 29)}…` : arm.title,
          key: (a, b) =>
            el('rect', {
              x: a - 8,
              y: b - 6,
              width: 14,
              height: 12,
              rx: 2,
              class: `${look(arm).series} bar`,
              opacity: isSecond(i) ? 0.55 : 1,
            }),
        })),
      ) +
      bars.join(''),
  }
}

/** The mean level of each token, from the first on. */
export function levelFigure({ levels: { overTime, byStratum }, strata }: Report): Figure | null {
  if (overTime.length === 0) return null
  const box: Box = { left: 56, right: width - 120, top: 22, bottom: 276 }
  const most = Math.max(...overTime.map(({ level }) => level), byStratum[0]?.shares.length - 1 || 1)
  const last = Math.max(...overTime.map(({ token }) => token))
  const x = linear([1, last + 1], [box.left, box.right], { round: false, count: 12 })
  const y = linear([0, most], [box.bottom, box.top], { count: most })
  const lines = strata.map((stratum, g) => {
    const rows = overTime.filter((row) => row.stratum === stratum)
    return (
      el('path', {
        d: path(rows.map(({ token, level }) => [x(token + 1), y(level)])),
        class: `${stratumSeries(g)} line`,
      }) +
      rows
        .map(({ token, level, n }) =>
          el(
            'circle',
            { cx: x(token + 1), cy: y(level), r: 2.6, class: stratumSeries(g) },
            el('title', {}, `${stratum}, token ${token + 1}: level ${number(level, 2)}, ${n} answers`),
          ),
        )
        .join('')
    )
  })
  const ends = strata.flatMap((stratum, g) => {
    const rows = overTime.filter((row) => row.stratum === stratum)
    const end = rows[rows.length - 1]
    return end ? [{ name: stratum, series: stratumSeries(g), y: y(end.level) }] : []
  })
  return {
    id: 'levels',
    title: 'Levels over an answer',
    caption:
      'Mean level that decided each token of the routed arm, while at least one answer in twenty still runs. The first token is always the full network’s: it comes from the prompt’s run.',
    height: 326,
    body:
      leftAxis(box, { scale: y, label: 'level', say: (v) => (Number.isInteger(v) ? String(v) : '') }) +
      bottomAxis(box, { scale: x, label: 'token of the answer', grid: false }) +
      lines.join('') +
      endLabels(box.right + 12, ends, [box.top, box.bottom]),
  }
}
