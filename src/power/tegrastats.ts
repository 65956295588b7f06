import { totalPower, unknownPower, withRuleFor } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { keepLineChild } from './line-child.ts'
import type { Instrument, InstrumentReading } from './source.ts'
import { parseTegrastats, type TegrastatsLine } from './tegrastats-parse.ts'

export interface TegrastatsOptions {
  /** The command line that prints the lines, for example `tegrastats --interval 100`. */
  readonly command: string
  /** Monotonic milliseconds. Lines are stamped with it: their own date has no zone and starts in 1970. */
  readonly now: () => number
  /** First and longest wait before a new start. */
  readonly backoffMs?: { readonly first: number; readonly most: number }
  /** Called when a line has come, so that nobody need wait for the next look. */
  readonly onNews?: () => void
  /** Least milliseconds without a line after which the child is taken to hang; 5 s unless told. */
  readonly hungMs?: number
}

/** What tegrastats uses without `--interval`. */
const ownIntervalMs = 1000
/** `--stop` would end anybody's tegrastats, `--start` would leave one behind that is not ours (hardware.md §1.3). */
const forbidden = /(^|\s)--(stop|start)(\s|$)/

/** A child that prints tegrastats lines, of which the latest is kept. */
export function createTegrastats(board: Board, options: TegrastatsOptions): Instrument {
  const { command, now, backoffMs, hungMs = 5000 } = options
  const asked = /--interval[ =](\d+)/.exec(command)?.[1]
  let periodMs = clampPeriod(Number(asked ?? ownIntervalMs))
  let latest: { readonly atMs: number; readonly line: TegrastatsLine } | null = null
  let ruled = board

  function accept(text: string, atMs: number): void {
    const line = parseTegrastats(text)
    const rails = Object.keys(line.railWatts)
    if (rails.length + Object.keys(line.zoneCelsius).length === 0) return
    // The pace of the lines themselves, because a stand-in for tegrastats may know no such option.
    if (latest !== null && asked === undefined) periodMs = clampPeriod(atMs - latest.atMs)
    ruled = withRuleFor(ruled, rails)
    latest = { atMs, line }
    options.onNews?.()
  }

  const child = forbidden.test(command)
    ? null
    : keepLineChild({ command, now, onLine: accept, hungAfterMs: () => Math.max(hungMs, 4 * periodMs), backoffMs })
  const trouble = (): string =>
    child?.trouble() ?? `"${command}" was not started: --start and --stop are not ours to use`

  const instrument = {
    name: 'tegrastats',
    /** Two and a half lines: one may be late. */
    get staleAfterMs(): number {
      return Math.max(500, 2.5 * periodMs)
    },
    async read(atMs: number): Promise<InstrumentReading> {
      if (latest === null) return unknownPower(ruled, atMs, 'tegrastats', trouble())
      const ageMs = atMs - latest.atMs
      if (ageMs > instrument.staleAfterMs) {
        const reason = `${trouble()}: last line ${Math.round(ageMs)} ms ago`
        return unknownPower(ruled, latest.atMs, 'tegrastats', reason.replace(/^no line from \S+ yet: /, ''))
      }
      const { railWatts, zoneCelsius, memory } = latest.line
      const others = { zoneCelsius, ...(memory.RAM && { memory: memoryOf(memory.RAM) }) }
      if (Object.keys(railWatts).length === 0) {
        // R35 on Orin prints none without root (§1.1).
        const reason = 'tegrastats prints no power rails; on this release it needs root'
        return { ...unknownPower(ruled, latest.atMs, 'tegrastats', reason), ...others }
      }
      return { atMs: latest.atMs, source: 'tegrastats', railWatts, ...totalPower(ruled, railWatts), ...others }
    },
    async close(): Promise<void> {
      await child?.close()
    },
  }
  return instrument
}

function memoryOf({ usedBytes, totalBytes, largestBlockBytes, largestBlocks }: TegrastatsLine['memory'][string]) {
  return { totalBytes, availableBytes: Math.max(0, totalBytes - usedBytes), largestBlockBytes, largestBlocks }
}

const clampPeriod = (ms: number): number => Math.min(5000, Math.max(50, ms))
