import { el, escapeText } from './svg.ts'

export interface Row {
  readonly cells: readonly string[]
  readonly class?: string
}

/** Cells are markup; headings are text, none for a list of names and values. */
export function table(heads: readonly string[], rows: readonly Row[], className = ''): string {
  const names = heads.map((h) => el('th', { scope: 'col' }, escapeText(h)))
  const head = heads.length > 0 ? el('thead', {}, el('tr', {}, ...names)) : ''
  const body = rows.map((row) => el('tr', { class: row.class }, ...row.cells.map((cell) => el('td', {}, cell))))
  return el('div', { class: 'wide' }, el('table', { class: className || undefined }, head, el('tbody', {}, ...body)))
}

export const chip = (holds: boolean | null): string =>
  holds === null
    ? el('span', { class: 'chip none' }, 'not tested')
    : el('span', { class: `chip ${holds ? 'pass' : 'miss'}` }, holds ? 'holds' : 'missed')

export const soft = (text: string): string => el('span', { class: 'soft' }, escapeText(text))
