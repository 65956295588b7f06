import { setTimeout as sleep } from 'node:timers/promises'
import { execa, parseCommandString } from 'execa'
import { totalPower, unknownPower } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { detailOf } from '../errors.ts'
import type { Instrument, InstrumentReading } from './source.ts'
import { parseTegrastats, type TegrastatsLine } from './tegrastats-parse.ts'

export interface TegrastatsOptions {
  /** The command line that prints the lines, for example `tegrastats --interval 100`. */
  readonly command: string
  /** Monotonic milliseconds. Lines are stamped with it: their own date has no zone and starts in 1970. */
  readonly now: () => number
  /** Milliseconds between lines when known; else it is taken from the lines themselves. */
  readonly intervalMs?: number
  /** First and longest wait before a new start. */
  readonly backoffMs?: { readonly first: number; readonly most: number }
}

/**
 * A child that prints tegrastats lines, of which the latest is kept. It is started again when it ends, with growing
 * pauses, and ended by its own process id: `tegrastats --stop` would end anybody's.
 */
export function createTegrastats(board: Board, options: TegrastatsOptions): Instrument {
  const { now, backoffMs = { first: 500, most: 30_000 } } = options
  const [file, ...args] = parseCommandString(options.command)
  const stop = new AbortController()
  let latest: { readonly atMs: number; readonly line: TegrastatsLine } | null = null
  let periodMs = options.intervalMs ?? 1000
  let trouble = `no line from ${file} yet`

  async function runOnce(): Promise<void> {
    const child = execa(file, args, {
      stdin: 'ignore',
      stderr: 'ignore',
      buffer: false,
      cancelSignal: stop.signal,
      forceKillAfterDelay: 1000,
    })
    // Iterating ends with the child's own error (exit, signal, missing file), which becomes the reason shown.
    for await (const text of child) accept(String(text))
    trouble = `${file} ended`
  }

  function accept(text: string): void {
    const line = parseTegrastats(text)
    const atMs = now()
    if (Object.keys(line.railWatts).length + Object.keys(line.zoneCelsius).length === 0) return
    if (latest !== null && options.intervalMs === undefined) periodMs = Math.min(5000, Math.max(50, atMs - latest.atMs))
    latest = { atMs, line }
  }

  async function keepRunning(): Promise<void> {
    let waitMs = backoffMs.first
    while (!stop.signal.aborted) {
      const startedAtMs = now()
      await runOnce().catch((thrown) => {
        trouble = `${file} failed: ${detailOf(thrown).split('\n', 1)[0]}`
      })
      if (stop.signal.aborted) return
      // A child that ran for long was healthy: begin again with the short pause.
      if (now() - startedAtMs > backoffMs.most) waitMs = backoffMs.first
      await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => undefined)
      waitMs = Math.min(backoffMs.most, 2 * waitMs)
    }
  }

  const running = keepRunning()

  const source = {
    name: 'tegrastats',
    /** Two and a half lines: one may be late. */
    get staleAfterMs(): number {
      return Math.max(500, 2.5 * periodMs)
    },
    async read(atMs: number): Promise<InstrumentReading> {
      if (latest === null || atMs - latest.atMs > source.staleAfterMs) {
        const reason = latest === null ? trouble : `${trouble}: last line ${Math.round(atMs - latest.atMs)} ms ago`
        return unknownPower(board, latest?.atMs ?? atMs, 'tegrastats', reason)
      }
      const { railWatts, zoneCelsius } = latest.line
      return { atMs: latest.atMs, source: 'tegrastats', railWatts, ...totalPower(board, railWatts), zoneCelsius }
    },
    async close(): Promise<void> {
      stop.abort()
      await running
    },
  }
  return source
}
