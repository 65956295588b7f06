import type { RunManifest } from '../records.ts'
import { figureStyle } from './palette.ts'
import { type Scale, tickText } from './scales.ts'
import { el, escapeText, line, text } from './svg.ts'

export const width = 860

/** A figure of the report: in the page, and as a file of its own. */
export interface Figure {
  readonly id: string
  readonly title: string
  /** How to read it, in a sentence or two. */
  readonly caption: string
  readonly height: number
  readonly body: string
}

/** What every figure says on itself about where its numbers come from. */
export const provenance = ({ joules, accuracy }: RunManifest): string =>
  [
    joules === 'simulated' ? 'simulated joules' : 'measured joules',
    ...(accuracy === 'toy' ? ['toy accuracy'] : []),
  ].join(' · ')

const head = 44

interface Canvas {
  readonly width: number
  readonly height: number
  /** What it shows, for those who do not see it. */
  readonly label: string
  /** A file of its own; inside a page the page brings size and colours. */
  readonly standalone: boolean
}

export function canvas({ width, height, label, standalone }: Canvas, ...children: readonly string[]): string {
  const size = standalone ? { width, height } : {}
  return el(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${width} ${height}`,
      ...size,
      role: 'img',
      'aria-label': label,
      class: 'figure',
    },
    standalone ? el('style', {}, figureStyle) : '',
    ...children,
  )
}

/** The drawing with title and provenance; inside a page the page brings the colours. */
export function drawing(figure: Figure, manifest: RunManifest, standalone: boolean): string {
  const height = figure.height + head
  const badge = provenance(manifest)
  const badgeWidth = 7 * badge.length + 20
  return canvas(
    { width, height, label: `${figure.title}. ${figure.caption}`, standalone },
    standalone ? el('rect', { width, height, class: 'paper' }) : '',
    text(12, 22, figure.title, { class: 'title' }),
    el('rect', { x: width - badgeWidth - 8, y: 7, width: badgeWidth, height: 21, rx: 10.5, class: 'badge' }),
    text(width - badgeWidth / 2 - 8, 21.5, badge, { class: 'badge-text', 'text-anchor': 'middle' }),
    el('g', { transform: `translate(0 ${head})` }, figure.body),
  )
}

export interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

export interface Axis {
  readonly scale: Scale
  readonly label: string
  readonly say?: (value: number) => string
  readonly grid?: boolean
}

export function bottomAxis(box: Box, { scale, label, say = tickText(scale.ticks), grid = true }: Axis): string {
  const ticks = scale.ticks.map((tick) => {
    const x = scale(tick)
    return (
      (grid ? line(x, box.top, x, box.bottom, { class: 'grid' }) : '') +
      text(x, box.bottom + 18, say(tick), { 'text-anchor': 'middle', class: 'tick' })
    )
  })
  return (
    ticks.join('') +
    line(box.left, box.bottom, box.right, box.bottom, { class: 'axis' }) +
    text((box.left + box.right) / 2, box.bottom + 38, label, { 'text-anchor': 'middle', class: 'label' })
  )
}

export function leftAxis(box: Box, { scale, label, say = tickText(scale.ticks), grid = true }: Axis): string {
  const ticks = scale.ticks.map((tick) => {
    const y = scale(tick)
    return (
      (grid ? line(box.left, y, box.right, y, { class: 'grid' }) : '') +
      text(box.left - 8, y + 4, say(tick), { 'text-anchor': 'end', class: 'tick' })
    )
  })
  return ticks.join('') + text(box.left - 8, box.top - 10, label, { class: 'label', 'text-anchor': 'start' })
}

export interface LegendEntry {
  readonly name: string
  readonly key: (x: number, y: number) => string
}

/** Keys in a row, each as wide as its words. */
export function legend(x: number, y: number, entries: readonly LegendEntry[]): string {
  let at = x
  return entries
    .map(({ name, key }) => {
      const drawn = key(at + 9, y - 4) + text(at + 24, y, name, { class: 'legend' })
      at += 24 + 6.6 * name.length + 22
      return drawn
    })
    .join('')
}

/** Labels at the ends of lines, moved apart so that none lies on another. */
export function endLabels(
  x: number,
  rows: readonly { readonly y: number; readonly name: string; readonly series: string }[],
  [top, bottom]: readonly [number, number],
): string {
  const gap = 15
  const sorted = rows.map((row) => ({ ...row })).sort((a, b) => a.y - b.y)
  for (let i = 1; i < sorted.length; i++) sorted[i].y = Math.max(sorted[i].y, sorted[i - 1].y + gap)
  const over = (sorted[sorted.length - 1]?.y ?? bottom) - bottom
  if (over > 0) for (const row of sorted) row.y -= over
  for (let i = sorted.length - 2; i >= 0; i--) sorted[i].y = Math.min(sorted[i].y, sorted[i + 1].y - gap)
  return sorted
    .map(({ y, name, series }) => text(x, Math.max(top, y) + 4, name, { class: `end ${series}-text` }))
    .join('')
}

export const note = (x: number, y: number, words: string, anchor = 'start'): string =>
  el('text', { x, y, class: 'note', 'text-anchor': anchor }, escapeText(words))
