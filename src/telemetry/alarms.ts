import type { Snapshot } from './snapshot.ts'

export type Severity = 'warning' | 'critical'

/** Numbers for the wires that know no words: 0 would be none. */
export const severityNumbers: Readonly<Record<Severity, number>> = { warning: 1, critical: 2 }

/** A condition that somebody should know of; `text` says why it holds, or null when it does not. */
export interface AlarmRow {
  readonly id: string
  readonly severity: Severity
  /** How long it must be gone before the alarm is closed. */
  readonly holdMs: number
  readonly text: (now: Snapshot, before: Snapshot) => string | null
}

const shortMs = 2000
const minuteMs = 60_000

/** Holds while the governor names this condition. */
const condition = (id: string, severity: Severity, name: string, holdMs = shortMs): AlarmRow => ({
  id,
  severity,
  holdMs,
  text: ({ governor }) => (governor.conditions.includes(name) ? governor.explanation : null),
})

export const alarmRows: readonly AlarmRow[] = [
  {
    id: 'power_unknown',
    severity: 'critical',
    holdMs: shortMs,
    text: ({ power }) => (power.totalWatts === null ? (power.totalWattsReason ?? 'no reading') : null),
  },
  condition('sensor_stale', 'critical', 'telemetry_stale'),
  condition('sensor_stuck', 'critical', 'telemetry_stuck'),
  condition('sensor_implausible', 'critical', 'telemetry_implausible', 10_000),
  condition('sensor_drift', 'critical', 'telemetry_drift', 10_000),
  {
    id: 'over_budget',
    severity: 'critical',
    holdMs: 10_000,
    text: ({ power: now }, { power: before }) =>
      now.secondsOverBudget > before.secondsOverBudget
        ? `the 1 s mean was over ${now.budgetWatts} W, ${now.secondsOverBudget.toFixed(1)} s in all since the start`
        : null,
  },
  {
    id: 'clock_refused',
    severity: 'critical',
    holdMs: shortMs,
    text: ({ clocks, governor }) =>
      clocks.refusal || (governor.conditions.includes('clock_refused') ? governor.explanation : null),
  },
  {
    id: 'clock_contested',
    severity: 'warning',
    holdMs: shortMs,
    text: ({ clocks }) =>
      clocks.contested
        ? `another program keeps changing the clocks (${clocks.drifts} times); theirs stand for now`
        : null,
  },
  {
    id: 'thermal',
    severity: 'warning',
    holdMs: 10_000,
    text: ({ governor, thermal }) => {
      if (thermal.throttling) return `the board throttles: ${thermal.throttlingDevices.join(', ')}`
      if (!governor.conditions.includes('thermal')) return null
      return `${thermal.tjCelsius?.toFixed(1) ?? 'unknown'} °C, the board throttles at ${thermal.throttleCelsius} °C`
    },
  },
  condition('over_current', 'warning', 'over_current'),
  condition('brown_out', 'warning', 'brown_out'),
  {
    id: 'certificate_lost',
    severity: 'warning',
    holdMs: 0,
    text: ({ certificate }) =>
      certificate.state === 'revoked' || certificate.state === 'void' ? certificate.explanation : null,
  },
  {
    id: 'engine_down',
    severity: 'critical',
    holdMs: 0,
    text: ({ engine }) => (engine.state === 'restarting' || engine.state === 'failed' ? engine.detail : null),
  },
  {
    id: 'engine_restarted',
    severity: 'warning',
    holdMs: 10 * minuteMs,
    text: ({ engine: now }, { engine: before }) =>
      now.restarts > before.restarts
        ? `the engine process was started again (${now.restarts} times since the start)`
        : null,
  },
]

/** An alarm that is open: since when, when it last held, and what it said then. */
export interface OpenAlarm {
  readonly id: string
  readonly severity: Severity
  readonly text: string
  readonly sinceMs: number
  readonly heldAtMs: number
}

/** The alarms after this snapshot: opened at once, closed when their condition has been gone for a while. */
export function nextAlarms(open: readonly OpenAlarm[], before: Snapshot, now: Snapshot): readonly OpenAlarm[] {
  return alarmRows.flatMap(({ id, severity, holdMs, text }) => {
    const known = open.find((alarm) => alarm.id === id)
    const why = text(now, before)
    if (why !== null) return [{ id, severity, text: why, sinceMs: known?.sinceMs ?? now.monoMs, heldAtMs: now.monoMs }]
    return known !== undefined && now.monoMs - known.heldAtMs < holdMs ? [known] : []
  })
}

/** All alarms as the snapshot shows them, closed ones with 0. */
export function alarmsOf(open: readonly OpenAlarm[]): Snapshot['alarms'] {
  return {
    severity: Object.fromEntries(
      alarmRows.map(({ id, severity }) => [id, open.some((alarm) => alarm.id === id) ? severityNumbers[severity] : 0]),
    ),
    text: Object.fromEntries(open.map(({ id, text }) => [id, text])),
  }
}
