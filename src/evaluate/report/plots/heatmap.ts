import type { Report } from '../../summary/report.ts'
import { number } from '../../summary/words.ts'
import { type Box, type Figure, width } from '../figure.ts'
import { el, text } from '../svg.ts'

const rowHeight = 34

/** Joules per token of every level in every power state; the darker, the more. */
export function heatmapFigure({ states, arms, powerStates, reference }: Report): Figure | null {
  const shown = arms.filter(
    ({ arm, kind }) => arm === reference || kind === 'level' || kind === 'routed' || kind === 'joint',
  )
  const cells = states.filter(({ arm }) => shown.some((each) => each.arm === arm))
  if (cells.length === 0 || powerStates.length === 0) return null
  const box: Box = { left: 290, right: width - 20, top: 30, bottom: 30 + shown.length * rowHeight }
  const room = (box.right - box.left) / powerStates.length
  const values = cells.map(({ joulesPerToken }) => joulesPerToken)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const body = shown.flatMap(({ arm, title }, r) => [
    text(box.left - 12, box.top + (r + 0.5) * rowHeight + 4, title.length > 40 ? `${title.slice(0, 39)}…` : title, {
      'text-anchor': 'end',
      class: 'value',
    }),
    ...powerStates.flatMap((powerState, c) => {
      const cell = cells.find((each) => each.arm === arm && each.powerState === powerState)
      if (!cell) return []
      const depth = most > least ? (cell.joulesPerToken - least) / (most - least) : 0
      const [x, y] = [box.left + c * room, box.top + r * rowHeight]
      return [
        el('rect', {
          x,
          y,
          width: room,
          height: rowHeight,
          rx: 4,
          class: 's1 cell',
          'fill-opacity': 0.08 + 0.5 * depth,
        }),
        text(x + room / 2, y + rowHeight / 2 + 4, number(cell.joulesPerToken), {
          'text-anchor': 'middle',
          class: 'value',
        }),
      ]
    }),
  ])
  return {
    id: 'power-states',
    title: 'Joules per token, by level and power state',
    caption:
      'Decode energy over decoded tokens. Each power state is a budget with its own clocks; compare within a column.',
    height: box.bottom + 14,
    body:
      powerStates
        .map((state, c) =>
          text(box.left + (c + 0.5) * room, box.top - 10, state, { 'text-anchor': 'middle', class: 'strong' }),
        )
        .join('') + body.join(''),
  }
}
