import { setTimeout as sleep } from 'node:timers/promises'
import { monotonicMs, type Pace, type StepEvent, type StepPart } from '../protocol.ts'

type Run = Pick<StepEvent, 'phase' | 'level'> & {
  readonly parts: readonly Pick<StepPart, 'tokens' | 'contextTokens'>[]
}

/** Seconds of a run on the simulated board: weights once, each sequence's own cache, and arithmetic for every token. */
export function paceSeconds(pace: Pace, { level, parts }: Run): number {
  const tokens = parts.reduce((sum, part) => sum + part.tokens, 0)
  const cached = parts.reduce((sum, part) => sum + part.contextTokens + part.tokens, 0)
  const memory = (pace.weightSeconds[level] ?? 0) + cached * pace.kvSecondsPerToken
  return pace.hostSeconds + Math.max(memory, tokens * (pace.arithmeticSecondsPerToken[level] ?? 0))
}

/** A timer that fires late must not slow the board down: within this many milliseconds a step begins where the last ended. */
const latenessMs = 20

/** Keeps the engine in step with the board: at full speed on a real one, as slow as the simulated one otherwise. */
export interface BoardClock {
  setPace(pace: Pace | null): void
  /** When a run computed since `fromMs` begins and how long it takes on the board. */
  book(run: Run, fromMs: number, duty: number): { readonly startedAtMs: number; readonly seconds: number }
  /** Resolves when the board is done with all that was booked; null when it is. */
  busy(): Promise<void> | null
}

export function createBoardClock(): BoardClock {
  let pace: Pace | null = null
  let freeAtMs = 0
  return {
    setPace: (next) => {
      pace = next
    },
    book(run, fromMs, duty) {
      const computed = (monotonicMs() - fromMs) / 1000
      const seconds = pace ? Math.max(computed, paceSeconds(pace, run)) : computed
      const late = fromMs - freeAtMs
      const startedAtMs = pace && late < latenessMs ? Math.max(freeAtMs, fromMs - latenessMs) : fromMs
      // Below the lowest clock only pauses save watts; they count as time the board is taken.
      freeAtMs = startedAtMs + (seconds * 1000) / duty
      return { startedAtMs, seconds }
    },
    busy() {
      const waitMs = freeAtMs - monotonicMs()
      return waitMs >= 1 ? sleep(waitMs) : null
    },
  }
}
