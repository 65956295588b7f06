import type { PowerModel } from '../board/types.ts'
import type { Work } from '../board/work.ts'
import { paced, rungsOf } from './features.ts'
import { memorySeconds, type Pace, pacedSeconds } from './pace.ts'
import { type Plant, predict } from './plant.ts'
import type { Ladder } from './types.ts'

/** One rung of the ladder for one kind of work, as far as it is known. */
export interface Point {
  readonly gpuHz: number
  readonly watts: number
  /** The watts it should not exceed, with the doubt that is left. */
  readonly mostWatts: number
  readonly seconds: number
}

export function pointsOf(
  ladder: Ladder,
  known: { readonly model: PowerModel; readonly plant: Plant; readonly pace: Pace },
  work: Work,
): readonly Point[] {
  const { model, plant, pace } = known
  const memory = memorySeconds(model, work)
  return rungsOf(model, ladder.gpuHz, work).map((rung) => {
    const seconds = pacedSeconds(model, pace, work, rung.seconds, memory)
    return { gpuHz: rung.gpuHz, seconds, ...predict(plant, paced(rung, seconds)) }
  })
}

/** The highest rung that should stay within these watts; -1 when even the lowest may not. */
export function highestWithin(points: readonly Point[], watts: number): number {
  const over = points.findIndex((point) => !(point.mostWatts <= watts))
  return over === -1 ? points.length - 1 : over - 1
}

export interface Aim {
  /** Seconds a step should take at most; 0 for as little as possible. */
  readonly seconds: number
  /** Watts that are paid anyway while nothing runs, and the part of them that a faster step saves (1 when requests wait). */
  readonly idleWatts: number
  readonly backlog: number
}

/**
 * The rung with the least joules per step among those in time; the fastest when none is. Idle watts are paid whether a
 * step runs or not, so that they count only as far as a shorter step lets a waiting request begin: race to idle wins
 * under backlog, a slow pace wins without.
 */
export function thriftiest(points: readonly Point[], highest: number, aim: Aim): number {
  let best = -1
  let least = Number.POSITIVE_INFINITY
  for (let rung = 0; rung <= highest; rung += 1) {
    const { watts, seconds } = points[rung]
    if (!(seconds <= aim.seconds)) continue
    const joules = joulesOf(watts, seconds, aim)
    if (joules < least) {
      least = joules
      best = rung
    }
  }
  return best === -1 ? highest : best
}

export function joulesOf(watts: number, seconds: number, aim: Aim): number {
  return (watts - (1 - aim.backlog) * aim.idleWatts) * seconds
}

/** The highest rung below this one that a measurement allows, by the ratio in which the rungs stand to each other. */
export function rungByRatio(
  points: readonly Point[],
  current: number,
  seen: { readonly watts: number; readonly aim: number; readonly idleWatts: number },
): number {
  const { watts, aim, idleWatts } = seen
  const most = ((aim - idleWatts) / Math.max(1e-9, watts - idleWatts)) * (points[current].watts - idleWatts)
  const rung = points.findLastIndex((point) => point.watts - idleWatts <= most)
  return Math.max(0, Math.min(current - 1, rung))
}

/**
 * The level with the least predicted joules per token at this rung. Power hardly depends on it; time does, as far as the
 * step is bound by its bytes.
 */
export function thriftiestLevel(shares: readonly number[], points: readonly Point[], rung: number): number {
  const { watts, seconds } = points[rung]
  const joules = shares.map((share) => watts * seconds * share)
  return joules.indexOf(Math.min(...joules))
}
