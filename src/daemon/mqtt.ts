import type { Settings } from '../config/schema.ts'
import { DeapdError } from '../errors.ts'
import type { ModelPackage } from '../models/package.ts'
import type { Message } from '../telemetry/schedule.ts'
import { toWire } from '../telemetry/wire.ts'
import { version } from '../version.ts'
import { type BlackBox, describeEnd } from './black-box.ts'
import type { LeasedBudget } from './budget.ts'
import type { LeasedHold } from './hold.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Log } from './log.ts'
import type { Platform } from './platform.ts'
import type { View } from './view.ts'

const defaultBrokerPort = 1883

/** Starts the embedded broker when one is wanted, and the link to whichever there is. Returns its address, or null for none. */
export async function connectMqtt(parts: {
  readonly settings: Settings
  readonly platform: Platform
  readonly device: string
  readonly pack: ModelPackage
  readonly view: View
  readonly budget: LeasedBudget
  readonly hold: LeasedHold
  readonly live: LiveSettings
  readonly blackBox: BlackBox
  readonly log: Log
  readonly lifecycle: Lifecycle
}): Promise<string | null> {
  const { settings, platform, device, pack, view, budget, hold, live, blackBox, log, lifecycle } = parts
  const { board, simulated } = platform
  const choice = brokerOf(settings, simulated)
  if (choice === 'none') return null
  const port = embeddedPort(choice)
  // Loaded only where there is a broker: a daemon without one should not carry 9 MB for it.
  const { startMqtt } = await import('../telemetry/mqtt.ts')
  const { startBroker } = await import('../telemetry/broker.ts')
  const broker = port === null ? null : await startBroker({ port })
  if (broker) lifecycle.add('MQTT broker', () => broker.close())
  const url = broker?.url ?? choice
  const link = startMqtt({
    url,
    site: settings.site,
    device,
    info: {
      version,
      board: board.id,
      board_name: board.name,
      simulated,
      rails: board.rails.map(({ label }) => label),
      model: pack.id,
      model_sha256: pack.digest,
      levels: pack.manifest.levels.map(({ share }) => share),
      node: process.version,
      arch: process.arch,
    },
    once: uncleanStop(blackBox),
    snapshot: view.snapshot,
    onSnapshot: view.subscribe,
    budget,
    hold,
    log,
    config: live,
    get intervalMs() {
      return live.current().mqtt_interval_s * 1000
    },
  })
  lifecycle.add('MQTT', () => link.close())
  return link.state().url
}

const brokerOf = (settings: Settings, simulated: boolean): string =>
  settings.mqtt === 'auto' ? (simulated ? 'embedded' : 'none') : settings.mqtt

/** The port of an embedded broker; null where the choice is the address of another. Throws `setting_invalid`. */
function embeddedPort(choice: string): number | null {
  if (!choice.startsWith('embedded')) return null
  const port = Number(
    /^embedded(?::(\d+))?$/.exec(choice)?.[1] ?? (choice === 'embedded' ? defaultBrokerPort : Number.NaN),
  )
  if (port <= 65_535) return port
  const detail = 'it must be embedded, embedded:PORT, an address such as mqtt://broker:1883, or none'
  throw new DeapdError('setting_invalid', { name: 'mqtt', value: choice, detail, source: '--mqtt' })
}

/**
 * Loads what speaks MQTT, if it will be needed: before the control loop runs, which compiling it would hold up. Throws
 * `setting_invalid` while nothing has been started yet.
 */
export async function loadMqtt(settings: Settings, { simulated }: Platform): Promise<void> {
  const choice = brokerOf(settings, simulated)
  if (choice === 'none') return
  const embedded = embeddedPort(choice) !== null
  const [{ checkSettings }] = await Promise.all([import('../telemetry/mqtt.ts'), import('../telemetry/broker.ts')])
  checkSettings({
    url: embedded ? 'mqtt://127.0.0.1' : choice,
    site: settings.site,
    device: settings.device || 'deapd',
  })
}

/** Told to the fleet once, as soon as the broker is there: the run before this one did not end by itself. */
function uncleanStop(blackBox: BlackBox): readonly Message[] {
  const report = blackBox.previous()
  if (report === null) return []
  const { startedAt, endedAt, rows } = report
  const payload = toWire({ startedAt, endedAt, last: rows[rows.length - 1], text: describeEnd(report) })
  return [{ topic: 'event/unclean_stop', payload: payload as Message['payload'], retain: false, qos: 1 }]
}
