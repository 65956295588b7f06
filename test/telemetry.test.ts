import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net'
import { connectAsync, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { loadSettings } from '../src/config/load.ts'
import { createHold } from '../src/daemon/hold.ts'
import { createLiveSettings } from '../src/daemon/live-settings.ts'
import { DeapdError } from '../src/errors.ts'
import { alarmRows, alarmsOf, nextAlarms } from '../src/telemetry/alarms.ts'
import { type Broker, startBroker } from '../src/telemetry/broker.ts'
import { type OrderedBudget, type OrderedState, obey } from '../src/telemetry/commands.ts'
import { configure } from '../src/telemetry/configure.ts'
import { eventRows } from '../src/telemetry/events.ts'
import { fields, keyOf, payloadOf, readField } from '../src/telemetry/fields.ts'
import { jitteredBackoff, type MqttLink, type MqttOptions, startMqtt } from '../src/telemetry/mqtt.ts'
import { renderMetrics } from '../src/telemetry/prometheus.ts'
import { due, type Message, nothingSaid } from '../src/telemetry/schedule.ts'
import { Snapshot } from '../src/telemetry/snapshot.ts'
import { toWire } from '../src/telemetry/wire.ts'

const snapshot: Snapshot = JSON.parse(readFileSync(new URL('golden/snapshot.json', import.meta.url), 'utf8'))
const topics = ['every', 'info', 'power', 'inference', 'system', 'governor'] as const

t.test('the table has a row for every value of the snapshot, and no other', async (t) => {
  t.ok(Value.Check(Snapshot, snapshot), 'the sample is a snapshot')
  const leaves = leavesOf(Snapshot)
  const values = leaves.filter((path) => !(path.endsWith('Reason') && leaves.includes(path.slice(0, -6))))
  t.same(fields.map((field) => field.path).sort(), values.sort())
})

t.test('every row is on the wire it names, with its unit', async (t) => {
  const metrics = await renderMetrics(snapshot)
  for (const field of fields) {
    t.not(readField(snapshot, field.path), undefined, field.path)
    if (field.topic !== 'every') t.ok(keyOf(field) in payloadOf(field.topic, snapshot), field.path)
    if (field.metric === null) continue
    t.match(field.metric, /^deapd_[a-z0-9_]+$/)
    t.ok(field.metric.includes(field.unit.replace(/s$/, '')), `${field.metric} names ${field.unit}`)
    if (field.kind === 'counter') t.match(field.metric, /_total$/)
    const known = readField(snapshot, field.path) !== null
    t.equal(metrics.includes(`\n${field.metric}`), known, `${field.metric} ${known ? 'is there' : 'is left out'}`)
    if (field.kind === 'label') t.match(metrics, `${keyOf(field)}="${readField(snapshot, field.path)}"`)
  }
  for (const topic of topics) {
    const keys = fields.filter((field) => field.topic === topic).map(keyOf)
    t.equal(new Set(keys).size, keys.length, `${topic}: no two fields share a name`)
    t.ok(JSON.stringify(payloadOf(topic, snapshot)).length < 4096)
  }
})

t.test('the wire forms are the golden ones', async (t) => {
  const metrics = await renderMetrics(snapshot)
  const now = {
    power: toWire(snapshot),
    metrics: metrics.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
    mqtt: Object.fromEntries(topics.map((topic) => [topic, payloadOf(topic, snapshot)])),
    events: eventRows.map((row) => row.type),
    alarms: alarmRows.map((row) => row.id),
  }
  const file = new URL('golden/telemetry.json', import.meta.url)
  // Remove the file to write it anew; the difference is then there to be read before it is committed.
  if (!existsSync(file)) {
    writeFileSync(file, `${JSON.stringify(now, null, 2)}\n`)
    t.fail('the golden file was missing and has been written: read it')
  }
  t.same(JSON.parse(JSON.stringify(now)), JSON.parse(readFileSync(file, 'utf8')))
})

t.test('what is due: telemetry by the clock, decisions by exception, no more than one a second', async (t) => {
  const names = (messages: readonly { topic: string }[]) => messages.map((message) => message.topic)
  const first = due(nothingSaid, snapshot, 10_000)
  t.same(names(first.messages), [
    'status',
    'state/governor',
    'telemetry/power',
    'telemetry/inference',
    'telemetry/system',
    ...alarmRows.map((row) => `alarm/${row.id}`),
  ])
  t.ok(
    first.messages.filter(({ topic }) => topic.startsWith('alarm/')).every(({ payload }) => payload === null),
    'alarms of an earlier life are cleared',
  )
  const capped = { ...snapshot.clocks, gpuCapHz: 612_000_000 }
  const soon = due(first.said, { ...snapshot, clocks: capped, monoMs: 5_000_500 }, 10_000)
  t.same(soon.messages, [], 'too soon after the last decision')
  const later = due(soon.said, { ...snapshot, clocks: capped, monoMs: 5_001_000 }, 10_000)
  t.same(names(later.messages), ['state/governor', 'telemetry/power'])
  const quiet = due(later.said, { ...snapshot, clocks: capped, monoMs: 5_009_900 }, 10_000)
  t.same(quiet.messages, [])
  const round = due(quiet.said, { ...snapshot, clocks: capped, monoMs: 5_010_000 }, 10_000)
  t.same(names(round.messages), ['telemetry/power', 'telemetry/inference', 'telemetry/system'])
  const repeat = due(round.said, { ...snapshot, clocks: capped, monoMs: 5_030_000 }, 60_000)
  t.same(names(repeat.messages), ['status'], 'a status is repeated before it expires')
})

t.test('every event and alarm row can happen and can end', async (t) => {
  const other: Snapshot = {
    ...snapshot,
    monoMs: snapshot.monoMs + 10_000,
    power: {
      ...snapshot.power,
      totalWatts: null,
      totalWattsReason: 'hwmon gone',
      budgetWatts: 20,
      secondsOverBudget: 2,
    },
    clocks: { ...snapshot.clocks, drifts: snapshot.clocks.drifts + 7, contested: true, refusal: 'EACCES' },
    governor: {
      ...snapshot.governor,
      degraded: true,
      conditions: [
        'telemetry_stale',
        'telemetry_stuck',
        'telemetry_implausible',
        'telemetry_drift',
        'thermal',
        'over_current',
        'brown_out',
      ],
    },
    certificate: { ...snapshot.certificate, state: 'revoked', explanation: 'revoked on Monday' },
    engine: { ...snapshot.engine, state: 'restarting', restarts: 1 },
  }
  for (const row of eventRows) {
    t.equal(row.of(snapshot, snapshot), null, row.type)
    t.type(row.of(snapshot, other), 'object', row.type)
  }
  const first = due(nothingSaid, snapshot, 1e9)
  const open = nextAlarms([], snapshot, other)
  t.same(
    open.map(({ id }) => id),
    alarmRows.map(({ id }) => id),
  )
  const bad = due(first.said, { ...other, alarms: alarmsOf(open) }, 1e9)
  t.match(bad.messages[0], { topic: 'status', payload: { state: 'degraded' } })
  for (const row of alarmRows) {
    const raised = bad.messages.find(({ topic }) => topic === `alarm/${row.id}`)
    t.match(raised, { retain: true, payload: { state: 'open', severity: row.severity, text: String } }, row.id)
  }
  const well = due(bad.said, { ...snapshot, monoMs: snapshot.monoMs + 20_000 }, 1e9)
  const cleared = well.messages.filter(({ topic }) => topic.startsWith('alarm/'))
  t.equal(cleared.length, alarmRows.length)
  t.ok(cleared.every(({ payload }) => payload === null))

  const after = (ms: number) => nextAlarms(open, snapshot, { ...snapshot, monoMs: other.monoMs + ms })
  t.notOk(
    after(0).some(({ id }) => id === 'engine_down'),
    'what is over at once is closed at once',
  )
  t.ok(
    after(1900).some(({ id }) => id === 'sensor_stuck'),
    'others wait: no alarm flutters',
  )
  t.notOk(after(2100).some(({ id }) => id === 'sensor_stuck'))
  // The sample board throttles, so that its heat goes on.
  t.same(
    after(599_000).map(({ id }) => id),
    ['thermal', 'engine_restarted'],
    'a restart is shown for ten minutes',
  )
  t.equal(after(1000).find(({ id }) => id === 'thermal')?.sinceMs, other.monoMs)
})

const now = new Date('2026-11-23T10:00:00Z')
const order = (data: object, more: object = {}) =>
  JSON.stringify({ transaction: 't1', deadline_ts: '2026-11-23T10:00:05Z', issued_by: 'fleet', data, ...more })

t.test('orders: leased, in time, never above the local limit', async (t) => {
  const obeyed = (payload: string, retained = false, name = 'set_budget') => {
    const { budget, orders } = budgetOf()
    return { ...obey(name, { payload, retained }, { budget, hold: holdOf() }, now), orders }
  }
  t.match(obeyed(order({ watts: 32, lease_s: 900 })), {
    transaction: 't1',
    status: 'ok',
    data: { watts: 32, clamped: false, issued_by: 'fleet', lease_until: String },
    orders: [[32, 900, 'mqtt']],
  })
  t.match(obeyed(order({ watts: 58, lease_s: 900 })), {
    status: 'ok',
    data: { watts: 50, requested_watts: 58, local_limit_watts: 50, clamped: true },
    orders: [[50, 900, 'mqtt']],
  })
  t.match(obeyed(order({ watts: 32, lease_s: 9 }, { deadline_ts: 1_795_428_030 })), { status: 'ok' }, 'Unix seconds')
  t.match(obeyed(order({ watts: 32, until: new Date(now.getTime() + 90_000).toISOString() })), {
    status: 'ok',
    orders: [[32, 90, 'mqtt']],
  })
  const hold = (data: object) => obeyed(order(data), false, 'set_hold')
  t.match(hold({ gpu_mhz: 510, level: 1, lease_s: 60 }), {
    status: 'ok',
    data: { gpu_hz: 510e6, level: 1, lease_until: /Z$/ },
  })
  t.match(hold({ release: true }), { status: 'ok', data: { gpu_hz: null, level: null, lease_until: null } })
  t.match(hold({ level: 1 }), { status: 'rejected', error: { code: 'lease_invalid' } })
  t.match(hold({ gpu_mhz: 511, lease_s: 60 }), {
    status: 'rejected',
    error: { code: 'hold_invalid', message: /306, 510/ },
  })
  const rejections: readonly [string, ReturnType<typeof obeyed>, string][] = [
    ['late', obeyed(order({ watts: 32, lease_s: 9 }, { deadline_ts: '2026-11-23T09:59:59Z' })), 'deadline_past'],
    ['retained', obeyed(order({ watts: 32, lease_s: 9 }), true), 'command_retained'],
    ['until nonsense', obeyed(order({ watts: 32, until: 'soon' })), 'lease_invalid'],
    ['without a lease', obeyed(order({ watts: 32 })), 'lease_invalid'],
    ['without a deadline', obeyed(order({ watts: 32, lease_s: 9 }, { deadline_ts: null })), 'bad_request'],
    ['without a transaction', obeyed(order({ watts: 32, lease_s: 9 }, { transaction: 7 })), 'bad_request'],
    ['not watts', obeyed(order({ watts: 'abc', lease_s: 9 })), 'budget_invalid'],
    ['too low', obeyed(order({ watts: -5, lease_s: 9 })), 'budget_invalid'],
    ['torn', obeyed('{"transaction":'), 'bad_request'],
    ['a list', obeyed('[]'), 'bad_request'],
    ['another command', obeyed(order({}), false, 'reboot'), 'command_unknown'],
  ]
  for (const [name, response, code] of rejections) {
    t.match(response, { status: 'rejected', error: { code, message: String } }, name)
    t.same(response.orders, [], name)
  }
})

t.test('mqtt: birth, telemetry, decisions, orders, and a clean end', async (t) => {
  const { broker, watch } = await brokerFor(t)
  const station = await watch()
  const daemon = start(t, broker)
  t.match(await station.next('status'), { state: 'ready', expires_s: 90, schema: 'status/1', replayed: false })
  t.match(await station.next('info'), { board_id: 'agx-orin-64gb', model: 'support-s', serial: '1421', seq: 0 })
  t.match(await station.next('telemetry/power'), { total_watts: 31.25, boot_id: 'b0071d', mono_ms: Number, ts: String })
  t.match(await station.next('telemetry/inference'), { tokens_per_second: 11.5, schema: 'inference/1' })
  t.match(await station.next('telemetry/system'), { tj_celsius: null, tj_celsius_reason: /no thermal zone/ })
  t.match(await station.next('state/governor'), { level: 3, reason: 'predicted_over_budget', budget_watts: 32 })
  t.equal(daemon.link.state().status, 'connected')

  const late = await watch()
  t.match(await late.next('status'), { state: 'ready' }, 'a late subscriber finds the status')
  t.equal(late.packets.get('status')?.retain, true)
  t.match(await late.next('info'), { serial: '1421' })
  t.match(await late.next('state/governor'), { level: 3 })

  daemon.push({ power: { ...snapshot.power, totalRule: 'external_meter' } })
  t.match(await station.next('info'), { total_rule: 'external_meter', seq: 1 }, 'another sensor has taken over')
  daemon.push({ power: snapshot.power })
  t.match(await station.next('info'), { total_rule: snapshot.power.totalRule, serial: '1421' })
  daemon.push({ monoMs: snapshot.monoMs + 1500, governor: { ...snapshot.governor, level: 1, reason: 'over_budget' } })
  t.match(await station.next('state/governor'), { level: 1, reason: 'over_budget', seq: 1 })
  t.match(await station.next('telemetry/power'), { seq: 1 })

  const inTime = () => new Date(Date.now() + 60_000).toISOString()
  const send = async (topic: string, body: object, retain = false) => {
    await station.client.publishAsync(topic, JSON.stringify(body), { qos: 1, retain })
    return station.next('resp/set_budget')
  }
  const budgetTopic = 'deapd/v1/local/jetson-1/cmd/set_budget'
  const good = { transaction: 'a', deadline_ts: inTime(), issued_by: 'fleet', data: { watts: 30, lease_s: 60 } }
  t.match(await send(budgetTopic, good), { transaction: 'a', status: 'ok', data: { watts: 30 } })
  t.match(await send(budgetTopic, good), { transaction: 'a', status: 'ok' }, 'a second copy is answered')
  t.same(daemon.orders, [[30, 60, 'mqtt']], 'and not carried out again')
  const high = { ...good, transaction: 'b', data: { watts: 60, lease_s: 60 } }
  t.match(await send('deapd/v1/local/_all/cmd/set_budget', high), {
    transaction: 'b',
    data: { watts: 50, clamped: true },
  })
  const past = { ...good, transaction: 'c', deadline_ts: '2020-01-01T00:00:00Z' }
  t.match(await send(budgetTopic, past), { transaction: 'c', status: 'rejected', error: { code: 'deadline_past' } })
  t.equal(daemon.orders.length, 2)

  await daemon.link.close()
  t.match(await station.next('status'), { state: 'offline', expires_s: null })
  t.equal(daemon.link.state().status, 'closed')
  const after = await watch()
  t.match(await after.next('status'), { state: 'offline' }, 'offline is retained')

  await station.client.publishAsync(budgetTopic, JSON.stringify({ ...good, transaction: 'd' }), {
    qos: 1,
    retain: true,
  })
  const again = start(t, broker)
  t.match(await station.next('resp/set_budget'), { transaction: 'd', error: { code: 'command_retained' } })
  t.same(again.orders, [])
})

t.test('mqtt: info is said again when the engine names its provider', async (t) => {
  const { broker, watch } = await brokerFor(t)
  const station = await watch()
  const daemon = start(t, broker)
  await station.next('info')
  daemon.push({ engine: { ...snapshot.engine, provider: 'webgpu' } })
  t.match(await station.next('info'), { provider: 'webgpu', seq: 1 })
})

t.test('mqtt: a configuration is wished for as a whole, and what came of it is retained', async (t) => {
  const { broker, watch } = await brokerFor(t)
  const station = await watch()
  const live = createLiveSettings(loadSettings({ mqtt_interval_s: 20 }, {}).settings)
  start(t, broker, { config: live })
  t.match(await station.next('config/reported'), {
    version: null,
    mqtt_interval_s: 20,
    errors: {},
    schema: 'reported/1',
  })
  const wish = async (payload: string) => {
    await station.client.publishAsync('deapd/v1/local/jetson-1/config/desired', payload, { qos: 1, retain: true })
    return station.next('config/reported')
  }
  const errors = { nonsense: /no such setting/, listen: /only at a start/, first_token_target_s: /number/ }
  const mixed = {
    version: 7,
    mqtt_interval_s: 2,
    latency_target_ms: 80,
    nonsense: 1,
    listen: 'x',
    first_token_target_s: 'a',
  }
  t.match(await wish(JSON.stringify(mixed)), { version: 7, mqtt_interval_s: 2, latency_target_ms: 80, errors })
  t.match(live.current(), { mqtt_interval_s: 2, latency_target_ms: 80, first_token_target_s: 2 })
  t.match(configure('{', live, null), { version: null, mqtt_interval_s: 2, errors: { document: /not a JSON object/ } })
  for (const torn of ['[]', '{"mqtt_interval_s":3}']) {
    t.match(await wish(torn), { version: 7, mqtt_interval_s: 2, errors: { document: /nothing was changed/ } }, torn)
  }
  t.match(await wish('{"version":8}'), { version: 8, mqtt_interval_s: 20, errors: {} }, 'the whole document')
  const late = await watch()
  t.match(await late.next('config/reported'), { version: 8 })
  t.match(await wish(''), { version: null }, 'a wish that is taken back')
})

t.test('mqtt: what is to be said once is said once, however often the broker goes', async (t) => {
  const { broker, watch } = await brokerFor(t)
  const station = await watch()
  const cable = await cableTo(t, broker)
  const once: Message = { topic: 'event/unclean_stop', payload: { text: 'killed' }, retain: false, qos: 1 }
  start(t, cable, { once: [once], backoff: () => 1 })
  t.match(await station.next('event/unclean_stop'), { text: 'killed', seq: 0, schema: 'unclean_stop/1' })
  const first = station.packets.get('event/unclean_stop')
  t.match(await station.next('status'), { state: 'ready' })
  cable.cut()
  t.match(await station.next('status'), { state: 'lost' })
  t.match(await station.next('status'), { state: 'ready' }, 'back again')
  t.match(await station.next('telemetry/system'), {})
  t.equal(station.packets.get('event/unclean_stop'), first)
})

t.test('mqtt: a daemon that vanishes is lost, by its Will', async (t) => {
  const { broker, watch } = await brokerFor(t)
  const station = await watch()
  const cable = await cableTo(t, broker)
  const daemon = start(t, cable, { backoff: () => 60_000 })
  t.match(await station.next('status'), { state: 'ready' })
  cable.cut()
  t.match(await station.next('status'), { state: 'lost', boot_id: 'b0071d', schema: 'status/1' })
  t.equal((await watch().then((late) => late.next('status'))).state, 'lost')
  t.equal(daemon.link.state().status, 'unreachable')
})

t.test('mqtt: a missing broker is a reason, not a fault; its return is noticed', async (t) => {
  const free = await startBroker({ port: 0 })
  await free.close()
  const warned: string[] = []
  const daemon = start(t, free, {
    url: `mqtt://me:secret@127.0.0.1:${free.port}`,
    backoff: () => 20,
    log: { info: () => undefined, warn: (_, message) => warned.push(message) },
  })
  t.equal(daemon.link.state().status, 'connecting')
  while (daemon.link.state().status !== 'unreachable') await new Promise((resolve) => setTimeout(resolve, 10))
  const { reason, url } = daemon.link.state()
  t.match(reason, /cannot be reached.*ECONNREFUSED/)
  t.notMatch(`${reason} ${url}`, 'secret')
  daemon.push({ monoMs: snapshot.monoMs + 20_000 })
  const broker = await startBroker({ port: free.port })
  t.teardown(() => broker.close())
  const station = await watcher(t, broker)
  t.match(await station.next('status'), { state: 'ready' })
  t.equal(daemon.link.state().reason, null)
  t.same(warned, ['mqtt unreachable'], 'one warning per outage')
})

t.test(
  'mqtt: a broker that greets and then says nothing more does not hold the end',
  { timeout: 20_000 },
  async (t) => {
    const accepted = Buffer.from([0x20, 2, 0, 0])
    const server = createServer((socket) =>
      socket.on('error', () => undefined).once('data', () => socket.write(accepted)),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const arrived = once(server, 'connection') as Promise<[Socket]>
    let greeted = (): void => undefined
    const connected = new Promise<void>((resolve) => {
      greeted = resolve
    })
    const log = {
      info: (_: object, message: string) => message === 'mqtt connected' && greeted(),
      warn: () => undefined,
    }
    const { link } = start(t, { url: `mqtt://127.0.0.1:${port}` }, { log })
    const [socket] = await arrived
    const gone = once(socket, 'close')
    await connected
    await link.close()
    await gone
    t.equal(link.state().status, 'closed')
  },
)

t.test('mqtt: settings that cannot work are refused at once', async (t) => {
  const options = { ...startOptions(), site: 'local', device: 'jetson-1', url: 'mqtt://127.0.0.1' }
  const bad = [{ url: 'nonsense' }, { url: 'http://127.0.0.1' }, { site: 'a/b' }, { device: '#' }, { device: '_all' }]
  for (const wrong of bad) {
    t.throws(() => startMqtt({ ...options, ...wrong }), { code: 'setting_invalid' }, JSON.stringify(wrong))
  }
  for (let attempt = 1; attempt < 40; attempt += 1) {
    const wait = jitteredBackoff(attempt)
    t.ok(wait >= 250 && wait <= 60_250)
  }
})

t.test('broker: a busy port names the port and the option', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as AddressInfo
  const refusal = startBroker({ port })
  await t.rejects(refusal, { code: 'port_busy', message: new RegExp(`Port ${port} on 127.0.0.1`) })
  await refusal.catch((error: DeapdError) => t.match(error.hint, /--mqtt embedded:PORT/))
})

/** Paths of every value in the snapshot's schema; a record counts as one value. */
function leavesOf(schema: Type.TSchema, path: readonly string[] = []): string[] {
  if (!Type.IsObject(schema)) return [path.join('.')]
  return Object.entries(schema.properties).flatMap(([key, inner]) => leavesOf(inner as Type.TSchema, [...path, key]))
}

function budgetOf(): { budget: OrderedBudget; orders: unknown[][] } {
  const orders: unknown[][] = []
  let state: OrderedState = { watts: 50, leaseUntil: null, configuredWatts: 50 }
  const budget: OrderedBudget = {
    get: () => state,
    set: (watts, lease, source) => {
      if (typeof watts !== 'number' || watts < 12) throw new DeapdError('budget_invalid', { value: String(watts) })
      orders.push([watts, lease, source])
      state = { ...state, watts, leaseUntil: new Date(Date.now() + 1000 * Number(lease)) }
      return state
    },
  }
  return { budget, orders }
}

const holdOf = () => createHold({ pointsHz: [306e6, 510e6], levels: 4, now: () => now, onChange: () => undefined })

function startOptions() {
  const { budget, orders } = budgetOf()
  const listeners = new Set<(snapshot: Snapshot) => void>()
  let current = snapshot
  return {
    info: { serial: '1421' },
    hold: holdOf(),
    budget,
    orders,
    snapshot: () => current,
    onSnapshot: (listener: (snapshot: Snapshot) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    push: (next: Partial<Snapshot>) => {
      current = { ...current, ...next }
      for (const listener of listeners) listener(current)
    },
    log: { info: () => undefined, warn: () => undefined },
  }
}

interface Daemon {
  readonly link: MqttLink
  readonly orders: unknown[][]
  readonly push: (next: Partial<Snapshot>) => void
}

function start(t: Test, broker: Pick<Broker, 'url'>, more: Partial<MqttOptions> = {}): Daemon {
  const options = startOptions()
  const link = startMqtt({ ...options, url: broker.url, site: 'local', device: 'jetson-1', ...more })
  t.teardown(() => link.close())
  return { link, orders: options.orders, push: options.push }
}

async function brokerFor(t: Test) {
  const broker = await startBroker({ port: 0 })
  t.teardown(() => broker.close())
  return { broker, watch: () => watcher(t, broker) }
}

/** A way to the broker that can be cut without a goodbye, as a pulled plug does. */
async function cableTo(t: Test, broker: Broker) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connectSocket(broker.port, broker.host)
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined))
    near.pipe(far).pipe(near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, cut }
}

/** A fleet manager's view: messages of this device by topic, in order, each taken once. */
async function watcher(t: Test, broker: Pick<Broker, 'url'>) {
  const options: IClientOptions = { protocolVersion: 4 }
  const client: MqttClient = await connectAsync(broker.url, options)
  t.teardown(() => client.endAsync(true))
  const heard = new Map<string, Record<string, unknown>[]>()
  const waiting = new Map<string, ((payload: Record<string, unknown>) => void)[]>()
  const packets = new Map<string, IPublishPacket>()
  client.on('message', (topic, payload, packet) => {
    const short = topic.split('/').slice(4).join('/')
    if (payload.length === 0) return
    const value = JSON.parse(String(payload))
    packets.set(short, packet)
    const taker = waiting.get(short)?.shift()
    if (taker) taker(value)
    else heard.set(short, [...(heard.get(short) ?? []), value])
  })
  await client.subscribeAsync('deapd/v1/local/jetson-1/#', { qos: 1 })
  const next = (topic: string): Promise<Record<string, unknown>> => {
    const [first, ...rest] = heard.get(topic) ?? []
    heard.set(topic, rest)
    if (first !== undefined) return Promise.resolve(first)
    return new Promise((resolve) => waiting.set(topic, [...(waiting.get(topic) ?? []), resolve]))
  }
  return { client, next, packets }
}
