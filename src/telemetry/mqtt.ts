import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { DeapdError, detailOf } from '../errors.ts'
import { type Orderable, obey, type Response } from './commands.ts'
import { type Configurable, configure, type Reported, reportedAtFirst } from './configure.ts'
import { payloadOf } from './fields.ts'
import { due, type Message, nothingSaid, statusMessage } from './schedule.ts'
import type { Snapshot } from './snapshot.ts'

export interface MqttOptions extends Orderable {
  /** mqtt://, mqtts://, tcp://, ssl://, ws:// or wss://; may carry user and password. */
  readonly url: string
  readonly site: string
  readonly device: string
  /** What `info` says besides the snapshot and the rule of the total: serial, releases, model digest, … in wire names. */
  readonly info: Readonly<Record<string, unknown>>
  /** Said with the first connection and never again. */
  readonly once?: readonly Message[]
  readonly snapshot: () => Snapshot
  /** What `config/desired` may change; without it nothing can be configured from outside. */
  readonly config?: Configurable
  readonly onSnapshot: (listener: (snapshot: Snapshot) => void) => () => void
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  /** Between two rounds of telemetry; 10 s unless told. */
  readonly intervalMs?: number
  readonly tls?: Pick<IClientOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized'>
  /** Milliseconds to wait before attempt n (from 1). */
  readonly backoff?: (attempt: number) => number
}

export interface MqttState {
  readonly status: 'connecting' | 'connected' | 'unreachable' | 'closed'
  /** Without the password. */
  readonly url: string
  /** Why it is unreachable, in the words of the error table; null otherwise. */
  readonly reason: string | null
  /** Messages not sent because the broker was away or did not keep up. */
  readonly dropped: number
}

export interface MqttLink {
  state(): MqttState
  /** Publishes `offline`, waits for the broker to have it, and disconnects; never longer than 2 s. */
  close(): Promise<void>
}

/** A broker that takes less than it is sent: beyond this, telemetry is dropped instead of filling memory. */
const maxUnsentBytes = 1 << 20
const closeWaitMs = 1000

/** Doubling from 1 s to 60 s, with full jitter: a broker that restarts must not meet its whole fleet at once. */
export const jitteredBackoff = (attempt: number): number =>
  250 + Math.random() * Math.min(60_000, 1000 * 2 ** Math.min(attempt - 1, 10))

export function startMqtt(options: MqttOptions): MqttLink {
  checkSettings(options)
  const { site, device, log } = options
  const shownUrl = withoutPassword(options.url)
  const base = `deapd/v1/${site}/${device}`
  const sequences = new Map<string, number>()
  const answered = new Map<string, Response>()
  const backoff = options.backoff ?? jitteredBackoff
  let client: MqttClient | null = null
  let said = nothingSaid
  let state: MqttState = { status: 'connecting', url: shownUrl, reason: null, dropped: 0 }
  let unsaid = options.once ?? []
  let infoSaid = ''
  let reported: Reported | null = options.config ? reportedAtFirst(options.config) : null
  let attempt = 0
  let timer: NodeJS.Timeout | undefined
  let closing = false

  const envelope = (topic: string, payload: object): string => {
    const seq = (sequences.get(topic) ?? -1) + 1
    sequences.set(topic, seq)
    const { bootId } = options.snapshot()
    const kind = topic.split('/').at(-1)
    const monoMs = Math.round(Number(process.hrtime.bigint()) / 1e6)
    const head = { schema: `${kind}/1`, ts: new Date().toISOString(), mono_ms: monoMs, boot_id: bootId, seq }
    return JSON.stringify({ ...payload, ...head, replayed: false })
  }

  const say = ({ topic, payload, retain, qos }: Message): void => {
    const to = client
    // Nothing is queued for a broker that is away: on return it gets the state as it is then.
    if (to === null || !to.connected || (to.stream?.writableLength ?? 0) > maxUnsentBytes) {
      state = { ...state, dropped: state.dropped + 1 }
      return
    }
    to.publish(`${base}/${topic}`, payload === null ? '' : envelope(topic, payload), { retain, qos }, () => undefined)
  }

  /** Said again when it has changed: the engine is there and names its provider, or another sensor totals other rails. */
  const introduce = (now: Snapshot): void => {
    const payload = { ...payloadOf('info', now), ...options.info, total_rule: now.power.totalRule }
    const text = JSON.stringify(payload)
    if (text === infoSaid) return
    infoSaid = text
    say({ topic: 'info', payload, retain: true, qos: 1 })
  }

  const report = (): void => {
    if (reported !== null) say({ topic: 'config/reported', payload: { ...reported }, retain: true, qos: 1 })
  }

  const tell = (snapshot: Snapshot): void => {
    if (client === null || !client.connected || closing) return
    introduce(snapshot)
    const next = due(said, snapshot, options.intervalMs ?? 10_000)
    said = next.said
    for (const message of next.messages) say(message)
  }

  const hear = (topic: string, payload: Buffer, packet: IPublishPacket): void => {
    const name = topic.split('/').at(-1) ?? ''
    if (name === 'desired') {
      if (!options.config) return
      reported = configure(String(payload), options.config, reported)
      log.info({ ...reported }, 'mqtt configuration')
      return report()
    }
    // Deleting a retained order is not an order.
    if (payload.length === 0) return
    const key = `${name} ${payload}`
    // QoS 1 may bring an order twice; carried out again it would lengthen its lease.
    const response =
      answered.get(key) ?? obey(name, { payload: String(payload), retained: packet.retain }, options, new Date())
    answered.set(key, response)
    if (answered.size > 32) answered.delete(answered.keys().next().value as string)
    log.info({ command: name, ...response }, 'mqtt order')
    say({ topic: `resp/${name}`, payload: { ...response }, retain: false, qos: 1 })
  }

  const greet = (): void => {
    said = nothingSaid
    state = { ...state, status: 'connected', reason: null }
    log.info({ url: shownUrl, topics: `${base}/#` }, 'mqtt connected')
    infoSaid = ''
    const topics = [`${base}/cmd/+`, `deapd/v1/${site}/_all/cmd/+`, `${base}/config/desired`]
    client?.subscribe(topics, { qos: 1 }, () => undefined)
    tell(options.snapshot())
    report()
    for (const message of unsaid) say(message)
    unsaid = []
  }

  const lost = (thrown: unknown): void => {
    if (closing || timer !== undefined) return
    const error = new DeapdError('broker_unreachable', { url: shownUrl, detail: detailOf(thrown) || 'no connection' })
    // Once per outage: a broker that is away for a week must not fill the log.
    if (state.status !== 'unreachable') log.warn({ url: shownUrl, reason: error.message }, 'mqtt unreachable')
    state = { ...state, status: 'unreachable', reason: error.message }
    attempt += 1
    timer = setTimeout(open, backoff(attempt))
    timer.unref()
  }

  /** A fresh client per attempt, so that each carries a Will of its own time and no queue of the last one. */
  const open = (): void => {
    timer = undefined
    const last = statusMessage('lost', 'the connection ended without a goodbye')
    const current = connect(options.url, {
      ...options.tls,
      clientId: `deapd-${device}`,
      clean: true,
      keepalive: 30,
      connectTimeout: 10_000,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      // Buffers for all 65,536 packet ids, made at the first packet: no tick runs meanwhile, and megabytes stay.
      writeCache: false,
      will: { topic: `${base}/status`, payload: envelope('status', last.payload ?? {}), retain: true, qos: 1 },
    })
    let fault: unknown = 'the broker closed the connection'
    let steady: NodeJS.Timeout | undefined
    client = current
    current.on('connect', () => {
      // Two devices with one id throw each other out at once: only a connection that lasts resets the waiting time.
      steady = setTimeout(() => {
        attempt = 0
      }, 10_000)
      steady.unref()
      greet()
    })
    current.on('message', hear)
    current.on('error', (error) => {
      fault = error.message === '' ? ((error as NodeJS.ErrnoException).code ?? 'no connection') : error
    })
    current.once('close', () => {
      clearTimeout(steady)
      if (client === current) client = null
      current.end(true)
      lost(fault)
    })
  }

  const unsubscribe = options.onSnapshot(tell)
  open()

  return {
    state: () => state,
    async close() {
      if (closing) return
      closing = true
      clearTimeout(timer)
      unsubscribe()
      const last = client
      if (last?.connected) {
        const { payload, ...how } = statusMessage('offline', 'stopped')
        await atMost(closeWaitMs, last.publishAsync(`${base}/status`, envelope('status', payload ?? {}), how))
        await atMost(closeWaitMs, last.endAsync())
      }
      last?.end(true)
      // A client that is ending already takes no second order: a broker that answers nothing would hold it, and us, till keep-alive.
      last?.stream.destroy()
      state = { ...state, status: 'closed', reason: null }
    },
  }
}

const atMost = (ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work.catch(() => undefined), sleep(ms, undefined, { ref: false })])

const protocols = new Set(['mqtt:', 'mqtts:', 'tcp:', 'ssl:', 'ws:', 'wss:'])

/** Throws `setting_invalid`. */
export function checkSettings({ url, site, device }: Pick<MqttOptions, 'url' | 'site' | 'device'>): void {
  const invalid = (name: string, value: string, detail: string) =>
    new DeapdError('setting_invalid', { name, value, detail, source: '--mqtt, DEAPD_MQTT or the configuration file' })
  if (!URL.canParse(url) || !protocols.has(new URL(url).protocol)) {
    throw invalid('mqtt', withoutPassword(url), 'it is not an address such as mqtt://broker:1883')
  }
  for (const [name, value] of Object.entries({ 'mqtt.site': site, 'mqtt.device': device })) {
    // A wildcard or a slash would put this device on other topics than its own.
    if (!/^[^+#/\s\0]+$/.test(value) || value === '_all') {
      throw invalid(name, value, 'it must be one word without / + # and not _all')
    }
  }
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return url.replace(/\/\/.*@/, '//')
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}
