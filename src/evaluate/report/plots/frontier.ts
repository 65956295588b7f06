import type { Report } from '../../summary/report.ts'
import { number, withInterval } from '../../summary/words.ts'
import { type Box, bottomAxis, endLabels, type Figure, leftAxis, note, width } from '../figure.ts'
import { lookOf } from '../palette.ts'
import { linear } from '../scales.ts'
import { el, mark, path } from '../svg.ts'

const box: Box = { left: 56, right: width - 176, top: 22, bottom: 350 }

/** Accuracy against energy: a line for each way to order what is removed, our routed and joint arms as marks of their own. */
export function frontierFigure({ frontiers, arms, mainPowerState, reference }: Report): Figure | null {
  const families = frontiers.families.filter(({ family }) => !family.includes('+'))
  if (families.length === 0) return null
  const marks = arms.filter(
    ({ kind, family, arm }) =>
      arm === reference || kind === 'routed' || kind === 'joint' || family === 'random-routing',
  )
  const points = [
    ...families.flatMap(({ points }) => points),
    ...marks.map(({ decodeJoules, accuracyPercent }) => ({ decodeJoules, errorPercent: 100 - accuracyPercent.value })),
  ]
  const most = Math.max(...points.map(({ errorPercent }) => errorPercent))
  const x = linear([0, Math.max(...points.map((p) => p.decodeJoules))], [box.left, box.right])
  const y = linear([100 - most, 100], [box.bottom, box.top])
  const place = (p: { decodeJoules: number; errorPercent: number }): readonly [number, number] => [
    x(p.decodeJoules),
    y(100 - p.errorPercent),
  ]
  const lines = families.map(({ family, points }) => {
    const look = lookOf(family)
    const sorted = [...points].sort((a, b) => a.decodeJoules - b.decodeJoules)
    const d = path(sorted.map(place))
    const own = sorted.filter(({ arm }) => arm !== reference)
    const dots = own.map((p) =>
      mark(look.shape, ...place(p), family === 'deap' ? 5 : 4, { class: look.series }, sayPoint(p)),
    )
    const style = family === 'deap' ? 'line' : 'line thin dashed'
    return el('path', { d, class: `${look.series} ${style}` }) + dots.join('')
  })
  const singles = marks.map((arm) => {
    const look = arm.arm === reference ? lookOf('dense') : lookOf(arm.kind === 'routed' ? 'deap + routed' : arm.family)
    const at = place({ decodeJoules: arm.decodeJoules, errorPercent: 100 - arm.accuracyPercent.value })
    const range = el('path', {
      d: path([
        [at[0], y(arm.accuracyPercent.low)],
        [at[0], y(arm.accuracyPercent.high)],
      ]),
      class: `${look.series} line thin`,
    })
    return (
      range +
      mark(
        look.shape,
        ...at,
        7,
        { class: look.series },
        `${arm.title}: ${number(arm.decodeJoules)} J, ${withInterval(arm.accuracyPercent, (v) => number(v, 1))} %`,
      )
    )
  })
  // Names stand beside the cheapest point of each line, at the right, joined by colour.
  const names = [
    ...families
      .map(({ family, points }) => ({ points, look: lookOf(family) }))
      .map(({ points, look }) => ({
        name: `${sign[look.shape]} ${look.name}`,
        series: look.series,
        y: y(100 - points.reduce((a, b) => (b.decodeJoules < a.decodeJoules ? b : a)).errorPercent),
      })),
    ...marks.map((arm) => {
      const look =
        arm.arm === reference ? lookOf('dense') : lookOf(arm.kind === 'routed' ? 'deap + routed' : arm.family)
      const name =
        arm.arm === reference
          ? 'dense int4'
          : arm.kind === 'routed'
            ? 'DEAP routed'
            : arm.kind === 'joint'
              ? arm.arm
              : look.name
      return { name: `${sign[look.shape]} ${name}`, series: look.series, y: y(arm.accuracyPercent.value) }
    }),
  ]
  return {
    id: 'frontier',
    title: 'What a joule buys',
    caption: `Exact matches over mean decode energy of an answer in ${mainPowerState}. Up and to the left is better; bars are 95 % intervals. Each line is one order in which parts of the network are removed.`,
    height: 400,
    body:
      leftAxis(box, { scale: y, label: 'right answers, %' }) +
      bottomAxis(box, { scale: x, label: 'decode energy of an answer, J' }) +
      lines.join('') +
      singles.join('') +
      endLabels(box.right + 16, names, [box.top, box.bottom]) +
      note(box.left + 8, box.top + 12, 'better'),
  }
}

const sign: Readonly<Record<string, string>> = { circle: '●', square: '■', diamond: '◆', triangle: '▲', cross: '✕' }
const sayPoint = (p: { arm: string; decodeJoules: number; errorPercent: number }): string =>
  `${p.arm}: ${number(p.decodeJoules)} J, ${number(100 - p.errorPercent, 1)} % right`
