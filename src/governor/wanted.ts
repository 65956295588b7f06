import { rungOf } from './ceiling.ts'
import { joulesOf, type Point, thriftiest } from './points.ts'
import { tuning } from './tuning.ts'
import type { Inputs, Reason } from './types.ts'

export interface Wanted {
  readonly rung: number
  readonly reason: Extract<Reason, 'least_energy' | 'latency_target' | 'hold'>
}

interface Costs {
  readonly idleWatts: number
  readonly backlog: number
  /** The rung the phase has now: it is left only when that pays. */
  readonly rung: number
}

/** The rung decoding asks for: the least joules per token among those that bring the next token in time. */
export function wantedForDecode({ limits, ladder }: Inputs, points: readonly Point[], costs: Costs): Wanted {
  if (limits.hold?.gpuHz != null) return { rung: rungOf(ladder.gpuHz, limits.hold.gpuHz), reason: 'hold' }
  return wanted(points, limits.tokenSeconds, costs)
}

/** The rung prompts ask for: the least joules among those that read what waits in time. */
export function wantedForPrefill({ limits, ladder, load }: Inputs, points: readonly Point[], costs: Costs): Wanted {
  if (limits.hold?.gpuHz != null) return { rung: rungOf(ladder.gpuHz, limits.hold.gpuHz), reason: 'hold' }
  const steps = Math.max(1, load.promptTokens / Math.max(1, load.prefill.tokens))
  return wanted(points, limits.tokenSeconds === 0 ? 0 : limits.firstTokenSeconds / steps, costs)
}

function wanted(points: readonly Point[], seconds: number, { idleWatts, backlog, rung: before }: Costs): Wanted {
  const aim = { seconds, idleWatts, backlog }
  const top = points.length - 1
  const free = thriftiest(points, top, { ...aim, seconds: Number.POSITIVE_INFINITY })
  const rung = thriftiest(points, top, aim)
  const reason = rung > free ? 'latency_target' : 'least_energy'
  if (before < 0 || before > top || before <= rung) return { rung, reason }
  // Between two neighbours that are as good as each other the clock stays.
  const joules = (at: number): number => joulesOf(points[at].watts, points[at].seconds, aim)
  const late = points[rung].seconds > (1 - tuning.latencySlackShare) * seconds
  const same = joules(before) <= (1 + tuning.worthShare) * joules(rung) || late
  return { rung: before - rung === 1 && same ? before : rung, reason }
}
