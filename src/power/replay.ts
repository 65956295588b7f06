import { readFileSync, statSync } from 'node:fs'
import { totalPower, unknownPower, withRuleFor } from '../board/reading.ts'
import type { Board } from '../board/types.ts'
import { detailOf } from '../errors.ts'
import type { Instrument } from './source.ts'
import { parseTrace, type TracePoint } from './trace.ts'

/** An hour at 20 Hz is about 20 MB. */
const mostBytes = 256 * 1024 ** 2
const retryMs = 1000

/** Plays a recorded trace or a tegrastats log from its beginning, `speed` times as fast as it was recorded. */
export function createReplay(board: Board, options: { readonly file: string; readonly speed: number }): Instrument {
  const { file, speed } = options
  let points: readonly TracePoint[] = []
  let ruled = board
  let periodMs = 1000
  let startedAtMs = 0
  let triedAtMs = Number.NEGATIVE_INFINITY
  let trouble = ''
  let at = 0

  function load(atMs: number): void {
    triedAtMs = atMs
    try {
      if (statSync(file).size > mostBytes) throw new Error(`it is larger than ${mostBytes} bytes`)
      points = parseTrace(readFileSync(file, 'utf8'))
      trouble = points.length === 0 ? `${file} holds no reading` : ''
    } catch (thrown) {
      trouble = `${file} cannot be replayed: ${detailOf(thrown)}`
    }
    startedAtMs = atMs
    at = 0
    ruled = withRuleFor(
      board,
      points.flatMap(({ railWatts }) => Object.keys(railWatts)),
    )
    periodMs = median(points.slice(1, 200).map((point, index) => point.atMs - points[index].atMs)) ?? 1000
  }

  const instrument = {
    name: 'replay',
    get staleAfterMs(): number {
      return Math.max(500, (2.5 * periodMs) / speed)
    },
    async read(atMs: number) {
      if (points.length === 0 && atMs - triedAtMs >= retryMs) load(atMs)
      if (points.length === 0) return unknownPower(ruled, atMs, 'replay', trouble)
      const elapsedMs = (atMs - startedAtMs) * speed
      while (at + 1 < points.length && points[at + 1].atMs <= elapsedMs) at += 1
      const { railWatts, zoneCelsius, atMs: pointMs } = points[at]
      const readAtMs = startedAtMs + pointMs / speed
      if (atMs - readAtMs > instrument.staleAfterMs) {
        const ended = at === points.length - 1 ? 'the trace has ended' : 'the trace has a gap'
        return unknownPower(ruled, readAtMs, 'replay', `${ended}: last reading ${Math.round(atMs - readAtMs)} ms ago`)
      }
      return { atMs: readAtMs, source: 'replay', railWatts, ...totalPower(ruled, railWatts), zoneCelsius }
    },
    async close() {},
  }
  return instrument
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}
