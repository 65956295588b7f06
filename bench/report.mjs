import { bar } from './rows.mjs'

const cell = ({ digits }, value) => (value === undefined ? '' : value.toFixed(digits))
const table = (head, body) => [head, head.map(() => '---'), ...body].map((row) => `| ${row.join(' | ')} |\n`).join('')

/** The results as Markdown: the table of bars and where each row was measured. */
export function report({ rows, sections }) {
  const bars = table(
    ['what', 'measured', 'middle half', 'bar', 'verdict'],
    rows.map((row) => [
      row.what,
      cell(row, row.value),
      row.low === undefined ? '' : `${cell(row, row.low)}–${cell(row, row.high)}`,
      bar(row),
      row.verdict,
    ]),
  )
  const where = table(
    ['section', 'shape', 'CPU', 'threads', 'when'],
    Object.entries(sections).map(([name, s]) => [
      name,
      s.shape,
      s.cpu,
      s.threads,
      s.measured.slice(0, 16).replace('T', ' '),
    ]),
  )
  return `${bars}\n${where}`
}
