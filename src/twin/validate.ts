import type { Group, PublishedRow } from './published-case.ts'

export interface GroupError {
  readonly group: Group
  readonly use: PublishedRow['use']
  readonly rows: number
  /** Relative errors without sign. */
  readonly medianError: number
  readonly largestError: number
  readonly largest: string
}

export const relativeError = ({ published, ours }: PublishedRow): number => ours / published - 1

/** How far the model is off, by group, held-out figures apart from those its parameters were set with. */
export function groupErrors(rows: readonly PublishedRow[]): readonly GroupError[] {
  const groups = new Map<string, PublishedRow[]>()
  for (const row of rows) {
    const key = `${row.use}|${row.group}`
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  const heldOutFirst = [...groups.entries()].sort(([a], [b]) => b.localeCompare(a)).map(([, members]) => members)
  return heldOutFirst.map((members) => {
    const sorted = [...members].sort((a, b) => Math.abs(relativeError(a)) - Math.abs(relativeError(b)))
    const worst = sorted[sorted.length - 1]
    const middle = (sorted.length - 1) / 2
    const median = (relative(sorted[Math.floor(middle)]) + relative(sorted[Math.ceil(middle)])) / 2
    const { group, use } = worst
    const largest = `${worst.what} (${worst.unit})`
    return { group, use, rows: members.length, medianError: median, largestError: relative(worst), largest }
  })
}

const relative = (row: PublishedRow): number => Math.abs(relativeError(row))
