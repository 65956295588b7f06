import { alarmRows } from './alarms.ts'
import { eventRows } from './events.ts'
import { payloadOf } from './fields.ts'
import type { Snapshot } from './snapshot.ts'

/** What is to be said, below `deapd/v1/<site>/<device>/`. A null payload removes a retained message. */
export interface Message {
  readonly topic: string
  readonly payload: Readonly<Record<string, unknown>> | null
  readonly retain: boolean
  readonly qos: 0 | 1
}

/** What was said last and when (monotonic milliseconds), so that the next snapshot tells what is due. */
export interface Said {
  readonly telemetryAtMs: number
  readonly decisionAtMs: number
  readonly decision: string
  readonly statusAtMs: number
  readonly status: string
  readonly events: Readonly<Record<string, { readonly atMs: number; readonly seen: Snapshot }>>
  readonly alarms: Readonly<Record<string, { readonly atMs: number; readonly open: boolean }>>
}

/** Nothing was said yet on this connection: everything retained is due, and stale alarms of an earlier life are cleared. */
export const nothingSaid: Said = {
  telemetryAtMs: Number.NEGATIVE_INFINITY,
  decisionAtMs: Number.NEGATIVE_INFINITY,
  decision: '',
  statusAtMs: Number.NEGATIVE_INFINITY,
  status: '',
  events: {},
  alarms: {},
}

/** By exception: a decision is told at most once a second, however often the governor changes its mind. */
const exceptionGapMs = 1000
const statusRepeatMs = 30_000
/** A reader may take a status older than this as lost: broker and device can fail together, and then no Will comes. */
const statusExpiresSeconds = 90

export function due(said: Said, now: Snapshot, intervalMs: number): { said: Said; messages: readonly Message[] } {
  const atMs = now.monoMs
  const periodic = atMs - said.telemetryAtMs >= intervalMs
  const decision = decisionKey(now)
  const decided = decision !== said.decision && atMs - said.decisionAtMs >= exceptionGapMs
  const { state, reason } = statusOf(now)
  const status = `${state} ${reason}`
  const statusDue = status !== said.status || atMs - said.statusAtMs >= statusRepeatMs
  const events = dueEvents(said, now)
  const alarms = dueAlarms(said, now)
  const topics = periodic ? (['power', 'inference', 'system'] as const) : decided ? (['power'] as const) : []
  const messages: Message[] = [
    ...(statusDue ? [statusMessage(state, reason)] : []),
    ...(decided ? [{ topic: 'state/governor', payload: governorPayload(now), retain: true, qos: 1 } as const] : []),
    ...topics.map(
      (topic) => ({ topic: `telemetry/${topic}`, payload: payloadOf(topic, now), retain: false, qos: 0 }) as const,
    ),
    ...events.messages,
    ...alarms.messages,
  ]
  return {
    messages,
    said: {
      telemetryAtMs: periodic ? atMs : said.telemetryAtMs,
      decisionAtMs: decided ? atMs : said.decisionAtMs,
      decision: decided ? decision : said.decision,
      statusAtMs: statusDue ? atMs : said.statusAtMs,
      status,
      events: events.said,
      alarms: alarms.said,
    },
  }
}

export function statusMessage(state: string, reason: string): Message {
  const payload = { state, reason, expires_s: state === 'lost' || state === 'offline' ? null : statusExpiresSeconds }
  return { topic: 'status', payload, retain: true, qos: 1 }
}

function statusOf({ engine, governor }: Snapshot): { state: string; reason: string } {
  if (engine.state === 'starting') return { state: 'starting', reason: engine.detail }
  if (engine.state !== 'ready') return { state: 'degraded', reason: `engine ${engine.state}` }
  return governor.degraded ? { state: 'degraded', reason: 'brown_out' } : { state: 'ready', reason: 'engine ready' }
}

/** What makes a decision a new one; the figures in its explanation move with every reading and do not. */
function decisionKey({ governor, clocks, power }: Snapshot): string {
  return JSON.stringify([
    governor.level,
    governor.ecoLevel,
    governor.reason,
    governor.degraded,
    clocks.gpuCapHz,
    power.budgetWatts,
    power.budgetSource,
    power.leaseUntil,
  ])
}

function governorPayload(now: Snapshot): Record<string, unknown> {
  const { budgetWatts, budgetSource, leaseUntil } = now.power
  return {
    ...payloadOf('governor', now),
    budget_watts: budgetWatts,
    budget_source: budgetSource,
    lease_until: leaseUntil,
  }
}

function dueEvents(said: Said, now: Snapshot): { said: Said['events']; messages: readonly Message[] } {
  const messages: Message[] = []
  const entries = eventRows.map(({ type, gapMs, of }) => {
    const last = said.events[type]
    if (last === undefined) return [type, { atMs: Number.NEGATIVE_INFINITY, seen: now }] as const
    if (now.monoMs - last.atMs < gapMs) return [type, last] as const
    const payload = of(last.seen, now)
    if (payload === null) return [type, { atMs: last.atMs, seen: now }] as const
    messages.push({ topic: `event/${type}`, payload, retain: false, qos: 1 })
    return [type, { atMs: now.monoMs, seen: now }] as const
  })
  return { said: Object.fromEntries(entries), messages }
}

function dueAlarms(said: Said, now: Snapshot): { said: Said['alarms']; messages: readonly Message[] } {
  const messages: Message[] = []
  const entries = alarmRows.map(({ id, severity }) => {
    const last = said.alarms[id]
    const text = now.alarms.text[id]
    const open = text !== undefined
    if (last !== undefined && (last.open === open || now.monoMs - last.atMs < exceptionGapMs))
      return [id, last] as const
    const payload = open ? { alarm: id, state: 'open', severity, text } : null
    messages.push({ topic: `alarm/${id}`, payload, retain: true, qos: 1 })
    return [id, { atMs: now.monoMs, open }] as const
  })
  return { said: Object.fromEntries(entries), messages }
}
