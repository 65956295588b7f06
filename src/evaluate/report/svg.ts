type Value = string | number
type Attributes = Readonly<Record<string, Value | undefined>>

export const escapeText = (text: string): string =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')

const show = (value: Value): string =>
  typeof value === 'number' ? String(Math.round(value * 100) / 100) : escapeText(value)

/** One element of SVG or HTML as text; children are markup already. */
export function el(name: string, attributes: Attributes = {}, ...children: readonly string[]): string {
  const written = Object.entries(attributes)
    .flatMap(([key, value]) => (value === undefined ? [] : [` ${key}="${show(value)}"`]))
    .join('')
  return children.length === 0 ? `<${name}${written}/>` : `<${name}${written}>${children.join('')}</${name}>`
}

export const text = (x: number, y: number, content: string, attributes: Attributes = {}): string =>
  el('text', { x, y, ...attributes }, escapeText(content))

export const line = (x1: number, y1: number, x2: number, y2: number, attributes: Attributes = {}): string =>
  el('line', { x1, y1, x2, y2, ...attributes })

export const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${show(x)} ${show(y)}`).join('')

export type Shape = 'circle' | 'square' | 'diamond' | 'triangle' | 'cross'

/** A marker that is told apart without colour; `title` is what a pointer shows. */
export function mark(shape: Shape, x: number, y: number, r: number, attributes: Attributes, title?: string): string {
  const corners: Readonly<Record<Exclude<Shape, 'circle' | 'cross'>, readonly (readonly [number, number])[]>> = {
    square: [
      [-0.85, -0.85],
      [0.85, -0.85],
      [0.85, 0.85],
      [-0.85, 0.85],
    ],
    diamond: [
      [0, -1.2],
      [1.2, 0],
      [0, 1.2],
      [-1.2, 0],
    ],
    triangle: [
      [0, -1.2],
      [1.1, 0.8],
      [-1.1, 0.8],
    ],
  }
  const inner = title === undefined ? [] : [el('title', {}, escapeText(title))]
  if (shape === 'circle') return el('circle', { cx: x, cy: y, r, ...attributes }, ...inner)
  if (shape === 'cross') {
    const d = `M${show(x - r)} ${show(y - r)}L${show(x + r)} ${show(y + r)}M${show(x + r)} ${show(y - r)}L${show(x - r)} ${show(y + r)}`
    return el('path', { d, ...attributes, 'stroke-width': 2 }, ...inner)
  }
  const points = corners[shape].map(([dx, dy]) => [x + dx * r, y + dy * r] as const)
  return el('path', { d: `${path(points)}Z`, ...attributes }, ...inner)
}
