import { DeapdError } from '../errors.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'
import { createFeed } from './feed.ts'
import type { Log } from './log.ts'
import type { Tick } from './loop.ts'
import { makeSnapshot, type SnapshotParts } from './snapshot.ts'

/** The latest snapshot and everyone who wants the next. */
export interface View {
  latest(): Snapshot | undefined
  /** Throws `engine_starting` before the first tick. */
  readonly snapshot: () => Snapshot
  readonly subscribe: (listener: (snapshot: Snapshot) => void) => () => void
  readonly show: (tick: Tick) => void
  /** Resolves with the first snapshot from now on that fits. */
  until(fits: (snapshot: Snapshot) => boolean): Promise<Snapshot>
}

export function createView(parts: () => Omit<SnapshotParts, 'tick'>, log: Log): View {
  const feed = createFeed<Snapshot>((thrown) => log.error({ err: thrown }, 'a view of the snapshot failed'))
  let current: Snapshot | undefined
  return {
    latest: () => current,
    snapshot() {
      if (!current) throw new DeapdError('engine_starting', { detail: 'the first reading is not there yet' })
      return current
    },
    subscribe: feed.subscribe,
    until: (fits) =>
      new Promise((resolve) => {
        const leave = feed.subscribe((snapshot) => {
          if (!fits(snapshot)) return
          leave()
          resolve(snapshot)
        })
      }),
    show(tick) {
      const before = current?.governor
      current = makeSnapshot({ ...parts(), tick })
      const { governor, clocks, power } = current
      if (before?.reason !== governor.reason || before.level !== governor.level) {
        const { reason, level: cap_level } = governor
        log.info(
          { reason, cap_level, gpu_cap_hz: clocks.gpuCapHz, total_watts: power.totalWatts },
          governor.explanation,
        )
      }
      feed.publish(current)
    },
  }
}
