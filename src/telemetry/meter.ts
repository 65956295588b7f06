import type { MqttClient } from 'mqtt'
import { type PowerReading, unknownPower } from '../board/reading.ts'
import { DeapdError, detailOf } from '../errors.ts'

/** Where a meter's messages are: broker, topic, and the path of the number in a JSON message. */
export interface MeterAddress {
  readonly url: string
  readonly topic: string
  readonly path: readonly string[]
}

/** A power meter outside the board, for example a smart plug; the shape of power's instruments. */
export interface Meter {
  readonly name: string
  readonly staleAfterMs: number
  read(atMs: number): Promise<PowerReading>
  close(): Promise<void>
}

/** What the board and everything else behind that meter draws: more than the module, and named so. */
const rule = { total: { name: 'external_meter', rails: ['METER'] } } as const
/** Meters send when a value changes or every few seconds; two and a half of their pauses, within these. */
const staleMs = { least: 3000, most: 60_000, first: 15_000 } as const
const mostWatts = 100_000

/** `mqtt://user@host:1883/shelly/plug/status#apower`: the path is the topic, the fragment the place in the message. */
export function parseMeterAddress(text: string): MeterAddress {
  const refuse = (detail: string): DeapdError =>
    new DeapdError('setting_invalid', {
      name: 'meter',
      value: text.replace(/\/\/[^@/]*@/, '//…@'),
      detail,
      source: '--meter',
    })
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^(mqtts?|wss?|tcp|ssl):$/.test(url.protocol)) {
    throw refuse('it must be an address such as mqtt://broker:1883/topic/of/the/meter#power')
  }
  const topic = decodeURIComponent(url.pathname.slice(1))
  if (topic === '' || /[+#]/.test(topic)) throw refuse('its path must be one topic, without wildcards')
  const path = decodeURIComponent(url.hash.slice(1))
    .split('.')
    .filter((part) => part !== '')
  url.hash = ''
  url.pathname = ''
  return { url: url.href, topic, path }
}

/** Watts in a message: a plain number, or the number at the path of a JSON message; undefined for anything else. */
export function wattsIn(message: string, path: readonly string[]): number | undefined {
  if (message.length > 65_536) return undefined
  let value: unknown
  try {
    value = JSON.parse(message)
  } catch {
    return undefined
  }
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string, unknown>)[part]
  }
  const watts = typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value
  return typeof watts === 'number' && watts >= 0 && watts <= mostWatts ? watts : undefined
}

/** Subscribes to a meter. Values are stamped when they arrive; a retained one may be of any age and is not used. */
export function createMeter(options: {
  readonly address: MeterAddress
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly reconnectMs?: number
}): Meter {
  const { address, now, reconnectMs = 5000 } = options
  const { url, topic, path } = address
  let latest: { readonly atMs: number; readonly watts: number } | null = null
  let freshMs: number = staleMs.first
  let trouble = 'the broker of the meter was not reached yet'
  const hear = (message: string): void => {
    const watts = wattsIn(message, path)
    if (watts === undefined) {
      trouble = `a message on ${topic} has no watts${path.length > 0 ? ` at ${path.join('.')}` : ''}`
      return
    }
    const atMs = now()
    if (latest !== null) freshMs = Math.min(staleMs.most, Math.max(staleMs.least, 2.5 * (atMs - latest.atMs)))
    latest = { atMs, watts }
    trouble = `no newer message on ${topic}`
  }
  const listen = async (): Promise<MqttClient> => {
    // Loaded only for those who have a meter: 9 MB.
    const { connect } = await import('mqtt')
    const client = connect(url, { clean: true, reconnectPeriod: reconnectMs, connectTimeout: 10_000 })
    client.on('connect', () => {
      trouble = `no message on ${topic} yet`
      client.subscribe(topic, { qos: 0 }, (error) => {
        if (error) trouble = `the broker refuses ${topic}: ${error.message}`
      })
    })
    client.on('error', (error) => {
      trouble = `the broker of the meter cannot be reached: ${detailOf(error)}`
    })
    client.on('close', () => {
      if (!trouble.startsWith('the broker')) trouble = 'the broker of the meter went away'
    })
    client.on('message', (_topic, payload, packet) => {
      if (!packet.retain) hear(String(payload))
    })
    return client
  }
  const listening = listen()

  return {
    name: 'meter',
    get staleAfterMs() {
      return freshMs
    },
    async read(atMs) {
      if (latest === null) return unknownPower(rule, atMs, 'meter', trouble)
      const ageMs = atMs - latest.atMs
      if (ageMs > freshMs)
        return unknownPower(rule, latest.atMs, 'meter', `${trouble}: the last is ${Math.round(ageMs)} ms old`)
      const { watts } = latest
      return {
        atMs: latest.atMs,
        source: 'meter',
        railWatts: { METER: watts },
        totalWatts: watts,
        totalWattsReason: null,
        totalRule: rule.total.name,
      }
    },
    async close() {
      await (await listening).endAsync(true)
    },
  }
}
