import type { Observed } from './observe.ts'
import type { Point } from './points.ts'
import { tuning } from './tuning.ts'
import type { Inputs, Probe } from './types.ts'

/**
 * Under an even load a sensor that hangs looks like one that is right. When a reading has not moved for a while, the cap
 * goes down for a moment, by enough for the sensor to show it; health.ts then sees whether the reading followed. Near the lowest cap
 * there may not be enough to go down by: then a sensor that hangs shows when the load changes.
 */
export function nextProbe(
  { probe, health }: Observed,
  { atMs, limits }: Inputs,
  now: { readonly points: readonly Point[]; readonly current: number; readonly quiet: boolean },
): { readonly rung: number | null; readonly next: Probe } {
  const { points, current, quiet } = now
  // A source that speaks once a second repeats itself without hanging, and would need a probe of seconds.
  const slow = limits.staleAfterMs > tuning.probeSourceStaleMs
  if (quiet || slow) return { rung: null, next: { ...probe, untilMs: atMs } }
  if (atMs < probe.untilMs) return { rung: probe.rung, next: probe }
  const same = health.readAtMs - health.sameSinceMs
  if (same < tuning.probeAfterMs || current === 0) return { rung: null, next: probe }
  const below = points.findLastIndex(({ watts }) => watts <= points[current].watts - tuning.probeWatts)
  const rung = Math.max(0, Math.min(current - 1, below))
  return { rung, next: { rung, untilMs: atMs + tuning.probeMs } }
}
