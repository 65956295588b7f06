import { DeapdError } from '../errors.ts'
import { alarmsOf, nextAlarms, type OpenAlarm } from '../telemetry/alarms.ts'
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
  let alarms: readonly OpenAlarm[] = []

  /** The log hears of an alarm when it is opened and when it is closed. */
  const watch = (before: Snapshot, now: Snapshot): Snapshot => {
    const next = nextAlarms(alarms, before, now)
    for (const alarm of next) {
      if (alarms.some(({ id }) => id === alarm.id)) continue
      log.warn({ alarm: alarm.id, severity: alarm.severity }, `alarm ${alarm.id}: ${alarm.text}`)
    }
    for (const { id, sinceMs } of alarms) {
      if (next.some((alarm) => alarm.id === id)) continue
      log.info({ alarm: id }, `alarm ${id} is over after ${((now.monoMs - sinceMs) / 1000).toFixed(1)} s`)
    }
    alarms = next
    return { ...now, alarms: alarmsOf(alarms) }
  }

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
      const made = makeSnapshot({ ...parts(), tick })
      current = watch(current ?? made, made)
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
