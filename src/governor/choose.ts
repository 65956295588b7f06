import type { Point } from './points.ts'
import type { Inputs, Phase, Reason } from './types.ts'

/** A rung that must not be passed, and why. */
export interface Limit {
  readonly rung: number
  readonly reason: Reason
}

/** The lowest of the limits; of equal ones the first in the list. */
export function bindingLimit(limits: readonly Limit[], top: number): Limit {
  let binding: Limit = { rung: top, reason: 'within_budget' }
  for (const limit of limits.toReversed()) if (limit.rung <= binding.rung) binding = limit
  return { ...binding, rung: Math.max(0, binding.rung) }
}

/** The kinds of work that may run before the next step: prompts as soon as one waits for a free place. */
export function runningPhases({ load, limits }: Inputs): readonly Phase[] {
  const prompts = load.prefilling > 0 || (load.queued > 0 && load.active < limits.maxSequences)
  const decoding = load.active > load.prefilling
  if (prompts) return decoding ? ['prefill', 'decode'] : ['prefill']
  return ['decode']
}

export function eachPhase<T>(of: (phase: Phase) => T): Readonly<Record<Phase, T>> {
  return { decode: of('decode'), prefill: of('prefill') }
}

/** At each rung the hungriest of the kinds of work. */
export function hungriest(
  phases: readonly Phase[],
  points: Readonly<Record<Phase, readonly Point[]>>,
): readonly Point[] {
  const [first, second] = phases.map((phase) => points[phase])
  if (second === undefined) return first
  return first.map((point, rung) => (point.watts >= second[rung].watts ? point : second[rung]))
}
