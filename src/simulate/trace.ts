import type { Row } from './options.ts'

/** The columns of a trace (DESIGN §5.2), one row per 100 ms; an unknown reading stays empty. */
const columns: readonly (readonly [name: string, value: (row: Row) => string | number])[] = [
  ['t_s', (row) => (row.atMs / 1000).toFixed(1)],
  ['total_w', (row) => row.totalWatts.toFixed(3)],
  ['reading_w', (row) => row.readingWatts?.toFixed(3) ?? ''],
  ['budget_w', (row) => row.budgetWatts.toFixed(3)],
  ['level', (row) => row.orders.capLevel],
  ['gpu_hz', (row) => row.gpuHz],
  ['cpu_hz', (row) => row.cpuHz],
  ['tj_c', (row) => row.tjCelsius.toFixed(2)],
  ['tokens_total', (row) => row.tokensTotal],
  ['requests_active', (row) => row.requestsActive],
  ['reason', (row) => row.orders.reason],
]

export const csvHead = `${columns.map(([name]) => name).join(',')}\n`

export function csvRow(row: Row): string {
  return `${columns.map(([, value]) => value(row)).join(',')}\n`
}
