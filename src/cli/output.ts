import { DeapdError } from '../errors.ts'

/** One JSON document on standard output, as every `--json` prints it. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document)}\n`)
}

/** A line on standard output. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`)
}

/** Parses a whole number from `low` up, for an option. */
export const wholeNumber =
  (option: string, low: number) =>
  (value: string): number => {
    const number = Number(value)
    if (value.trim() === '' || !Number.isInteger(number) || number < low) {
      throw new DeapdError('bad_usage', { detail: `${option} must be a whole number from ${low} up, not "${value}".` })
    }
    return number
  }

/** Parses a number from `low` up, for an option. */
export const realNumber =
  (option: string, low: number) =>
  (value: string): number => {
    const number = Number(value)
    if (value.trim() === '' || !Number.isFinite(number) || number < low) {
      throw new DeapdError('bad_usage', { detail: `${option} must be a number from ${low} up, not "${value}".` })
    }
    return number
  }

/** Columns of text, each as wide as its widest cell. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => String(cell).padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
