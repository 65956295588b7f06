import { parseTegrastats } from './tegrastats-parse.ts'

/** What `deapd record` writes: one head line, then one line a reading. Names are those of every wire: snake_case, SI. */
export interface TraceHead {
  readonly schema: 'deapd-trace/1'
  readonly board: string
  readonly interval_ms: number
}

export interface TraceRow {
  /** Milliseconds since the first row. */
  readonly at_ms: number
  readonly source: string
  readonly rail_watts: Readonly<Record<string, number>>
  readonly total_watts: number | null
  readonly zone_celsius: Readonly<Record<string, number>>
  readonly over_current_events: Readonly<Record<string, number>> | null
  readonly throttling: readonly string[] | null
  readonly gpu_hz: number | null
  readonly cpu_hz: readonly number[]
}

/** The part of a row that can be replayed. */
export interface TracePoint {
  readonly atMs: number
  readonly railWatts: Readonly<Record<string, number>>
  readonly zoneCelsius: Readonly<Record<string, number | null>>
}

/** Between two lines of a tegrastats log that carries no dates. */
const undatedMs = 1000

/**
 * The points of a recorded trace or of a tegrastats log, in ascending time; lines that say nothing are left out. Lines of one
 * date (an interval below a second) are spread over that second.
 */
export function parseTrace(text: string): readonly TracePoint[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const points = lines[0]?.trimStart().startsWith('{') ? lines.flatMap(pointOfJson) : pointsOfTegrastats(lines)
  const [first] = points
  return points
    .map((point) => ({ ...point, atMs: point.atMs - first.atMs }))
    .filter((point, index, all) => index === 0 || point.atMs > all[index - 1].atMs)
}

function pointOfJson(line: string): TracePoint[] {
  try {
    const row = JSON.parse(line) as Partial<TraceRow>
    if (typeof row.at_ms !== 'number' || !Number.isFinite(row.at_ms)) return []
    return [{ atMs: row.at_ms, railWatts: numbersOf(row.rail_watts), zoneCelsius: numbersOf(row.zone_celsius) }]
  } catch {
    return []
  }
}

function numbersOf(value: unknown): Record<string, number> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  )
}

function pointsOfTegrastats(lines: readonly string[]): readonly TracePoint[] {
  const parsed = lines
    .map(parseTegrastats)
    .filter(({ railWatts, zoneCelsius }) => Object.keys(railWatts).length + Object.keys(zoneCelsius).length > 0)
  const seconds = parsed.map(({ date }, index) => (date === null ? index * undatedMs : secondOf(date)))
  const together = new Map<number, number>()
  for (const second of seconds) together.set(second, (together.get(second) ?? 0) + 1)
  const placed = new Map<number, number>()
  return parsed.map(({ railWatts, zoneCelsius }, index) => {
    const second = seconds[index]
    const place = placed.get(second) ?? 0
    placed.set(second, place + 1)
    return { atMs: second + (1000 * place) / (together.get(second) ?? 1), railWatts, zoneCelsius }
  })
}

/** `MM-DD-YYYY HH:MM:SS` without a zone: only differences are used. */
function secondOf(date: string): number {
  const [, month, day, year, hour, minute, second] = /(\d\d)-(\d\d)-(\d{4}) (\d\d):(\d\d):(\d\d)/.exec(date) ?? []
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
}
