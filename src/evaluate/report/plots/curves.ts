import type { Report } from '../../summary/report.ts'
import { number, percent, withInterval } from '../../summary/words.ts'
import { type Box, bottomAxis, endLabels, type Figure, leftAxis, width } from '../figure.ts'
import { lookOf } from '../palette.ts'
import { linear, logarithmic } from '../scales.ts'
import { el, mark, path } from '../svg.ts'

const box: Box = { left: 62, right: width - 190, top: 26, bottom: 276 }
const height = 326

const lookOfArm = ({ arms, reference }: Report, arm: string) => {
  const row = arms.find((each) => each.arm === arm)
  if (arm === reference || !row) return lookOf('dense')
  return lookOf(row.kind === 'routed' ? 'deap + routed' : row.family)
}

/** Energy of a batched step on logarithmic axes, where a power law is a line. */
export function batchFigure(report: Report): Figure | null {
  const { batches } = report
  if (batches.length === 0) return null
  const all = batches.flatMap(({ points }) => points)
  const joules = all.map(({ stepJoules }) => stepJoules)
  const counts = [...new Set(all.map(({ batch }) => batch))].sort((a, b) => a - b)
  const x = logarithmic([counts[0], counts[counts.length - 1]], [box.left + 10, box.right], counts)
  const y = logarithmic([0.9 * Math.min(...joules), 1.1 * Math.max(...joules)], [box.bottom, box.top])
  const drawn = batches.map(({ arm, points, law }) => {
    const look = lookOfArm(report, arm)
    const fit = [points[0], points[points.length - 1]].map(
      ({ batch }) => [x(batch), y(law.factor.value * batch ** law.exponent.value)] as const,
    )
    return (
      el('path', { d: path(fit), class: `${look.series} line thin dashed` }) +
      points
        .map(({ batch, stepJoules }) =>
          mark(
            look.shape,
            x(batch),
            y(stepJoules),
            5,
            { class: look.series },
            `${arm}, batch ${batch}: ${number(stepJoules)} J`,
          ),
        )
        .join('')
    )
  })
  const names = batches.map(({ arm, points, law }) => ({
    name: `${arm}: B^${number(law.exponent.value, 2)}`,
    series: lookOfArm(report, arm).series,
    y: y(points[points.length - 1].stepJoules),
  }))
  return {
    id: 'batch',
    title: 'Energy of a step against answers decoded together',
    caption: `Both axes logarithmic; dashed: E = a·B^b. Exponents with 95 % interval: ${batches.map(({ arm, law }) => `${arm} ${withInterval(law.exponent, (v) => number(v, 2))}`).join('; ')}. 1 is linear.`,
    height,
    body:
      leftAxis(box, { scale: y, label: 'J per step' }) +
      bottomAxis(box, { scale: x, label: 'answers decoded together', grid: false }) +
      drawn.join('') +
      endLabels(box.right + 14, names, [box.top, box.bottom]),
  }
}

/** Time of a token while the board heats up and throttles. */
export function throttleFigure(report: Report): Figure | null {
  const { throttling } = report
  if (throttling.length === 0) return null
  const all = throttling.flatMap(({ curve }) => curve)
  const x = linear([0, Math.max(...all.map(({ atSeconds }) => atSeconds))], [box.left, box.right], { round: false })
  const y = linear([0, 1000 * Math.max(...all.map(({ secondsPerToken }) => secondsPerToken))], [box.bottom, box.top])
  const drawn = throttling.map(({ arm, curve }) =>
    el('path', {
      d: path(curve.map(({ atSeconds, secondsPerToken }) => [x(atSeconds), y(1000 * secondsPerToken)])),
      class: `${lookOfArm(report, arm).series} line`,
    }),
  )
  const names = throttling.map(({ arm, ratio, curve }) => ({
    name: `${arm}: p99/p50 ${number(ratio, 2)}`,
    series: lookOfArm(report, arm).series,
    y: y(1000 * curve[curve.length - 1].secondsPerToken),
  }))
  return {
    id: 'throttling',
    title: 'Time of a token in the heat',
    caption:
      'Medians of equal stretches of time under the same load, on a board that gets too hot at full clocks. p99/p50 is over all tokens: 1 is a steady stream.',
    height,
    body:
      leftAxis(box, { scale: y, label: 'ms per token' }) +
      bottomAxis(box, { scale: x, label: 'seconds', grid: false }) +
      drawn.join('') +
      endLabels(box.right + 14, names, [box.top, box.bottom]),
  }
}

/** Speed against what a level leaves unread. */
export function scalingFigure({ scaling }: Report): Figure | null {
  if (scaling === null) return null
  const { points, throughput, elasticity } = scaling
  const x = linear([0, 100 * Math.max(...points.map(({ sparsity }) => sparsity))], [box.left, box.right])
  const y = linear([0, Math.max(...points.map(({ tokensPerSecond }) => tokensPerSecond))], [box.bottom, box.top])
  const fit = [0, x.domain[1] / 100].map(
    (s) => [x(100 * s), y(throughput.intercept.value + throughput.slope.value * s)] as const,
  )
  return {
    id: 'throughput',
    title: 'Speed against bytes left unread',
    caption: `Decoded tokens per second of each level. r = ${number(throughput.r, 3)}, R² = ${number(throughput.r2, 3)}; ${percent(elasticity, 0)} of the time of a token at the full level goes with its bytes.`,
    height,
    body:
      leftAxis(box, { scale: y, label: 'tokens/s' }) +
      bottomAxis(box, { scale: x, label: 'weight bytes not read, %' }) +
      el('path', { d: path(fit), class: 's1 line thin dashed' }) +
      points
        .map((p) =>
          mark(
            'circle',
            x(100 * p.sparsity),
            y(p.tokensPerSecond),
            5,
            { class: 's1' },
            `${p.arm}: ${number(p.tokensPerSecond)} tokens/s`,
          ),
        )
        .join(''),
  }
}
