import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { freePort, run, startDaemon, without } from './support/daemon.ts'

const skip = without(['mosquitto', 'mosquitto'], ['mosquitto_sub', 'mosquitto-clients'])
const timeout = 60_000
/** Debian keeps servers out of a plain user's PATH. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }

interface Heard {
  readonly topic: string
  readonly retain: 0 | 1
  readonly payload: Record<string, unknown>
}

/** What mosquitto_sub hears, message by message. */
function subscribe(t: Test, url: string, filter: string): AsyncGenerator<Heard> {
  const args = ['-L', `${url}/${filter}`, '-V', '311', '-q', '1', '-F', '%j']
  const child = spawn('mosquitto_sub', args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  t.teardown(() => stop(child))
  return messages(child)
}

async function* messages(child: ChildProcess): AsyncGenerator<Heard> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const { topic, retain, payload } = JSON.parse(line)
    yield { topic, retain, payload: JSON.parse(payload) }
  }
}

/** Reads on until the message is as wanted. The next call goes on after it. */
async function hear(heard: AsyncGenerator<Heard>, wanted: (message: Heard) => boolean): Promise<Heard> {
  for (let next = await heard.next(); !next.done; next = await heard.next()) if (wanted(next.value)) return next.value
  throw new Error('mosquitto_sub ended')
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** A mosquitto of this test's own, without any file of the system's. */
async function startMosquitto(t: Test): Promise<string> {
  const port = await freePort()
  const child = spawn('mosquitto', ['-p', String(port)], { stdio: 'ignore', env })
  t.teardown(() => stop(child))
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const up = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error')]).catch(() => false)
    socket.destroy()
    if (up === true) return `mqtt://127.0.0.1:${port}`
    if (child.exitCode !== null) throw new Error('mosquitto did not start')
  }
}

t.test('the embedded broker serves mosquitto_sub', { skip, timeout }, async (t) => {
  const daemon = await startDaemon(t)
  const heard = subscribe(t, String(daemon.mqttUrl), `${daemon.topics}/#`)
  const first = new Map<string, Heard>()
  const wanted = ['status', 'info', 'state/governor', 'telemetry/power', 'telemetry/inference', 'telemetry/system']
  await hear(heard, (message) => {
    const name = message.topic.slice(`${daemon.topics}/`.length)
    if (!first.has(name)) first.set(name, message)
    return wanted.every((name) => first.has(name))
  })
  for (const name of ['status', 'info', 'state/governor']) t.equal(first.get(name)?.retain, 1, `${name} is retained`)
  for (const name of ['telemetry/power', 'telemetry/inference']) t.equal(first.get(name)?.retain, 0)
  t.match(first.get('status')?.payload, { state: 'ready', schema: 'status/1', ts: String, boot_id: String })
  t.match(first.get('info')?.payload, { board: 'agx-orin-64gb', simulated: true, model: String })
  t.match(first.get('telemetry/power')?.payload, {
    schema: 'power/1',
    total_watts: Number,
    budget_watts: 50,
    seq: Number,
    replayed: false,
  })
  t.match(first.get('state/governor')?.payload, { reason: String, explanation: String, level: Number })

  t.test('and takes a budget order, which is a lease', async (t) => {
    const deadline = new Date(Date.now() + 60_000).toISOString()
    const data = { watts: 32, lease_s: 60 }
    const order = JSON.stringify({ transaction: 'order-1', deadline_ts: deadline, issued_by: 'fleet', data })
    const to = ['-L', `${daemon.mqttUrl}/${daemon.topics}/cmd/set_budget`, '-V', '311', '-q', '1', '-m', order]
    t.match(await run('mosquitto_pub', to, { env }), { code: 0 })
    const answer = await hear(heard, ({ topic }) => topic.endsWith('/resp/set_budget'))
    t.match(answer.payload, { transaction: 'order-1', status: 'ok' })
    const decided = await hear(
      heard,
      ({ topic, payload }) => topic.endsWith('/state/governor') && payload.budget_watts === 32,
    )
    t.match(decided.payload, { budget_source: /mqtt/, lease_until: String })
    t.equal((await daemon.power()).power.budget_watts, 32)
  })
})

t.test('with a mosquitto broker', { skip, timeout }, async (t) => {
  const url = await startMosquitto(t)
  const site = 'plant-7'
  const args = ['--mqtt', url, '--site', site, '--device', 'press-3']
  const heard = subscribe(t, url, `deapd/v1/${site}/#`)
  const status = (state: string): Promise<Heard> =>
    hear(heard, ({ topic, payload }) => topic === `deapd/v1/${site}/press-3/status` && payload.state === state)

  const first = await startDaemon(t, { args })
  t.equal(first.mqttUrl, url)
  t.equal(first.topics, `deapd/v1/${site}/press-3`)
  await status('ready')
  t.match(await first.end('SIGTERM'), { code: 0 })
  t.match((await status('offline')).payload, { reason: 'stopped' }, 'a clean stop says goodbye')

  const second = await startDaemon(t, { args, stateDir: first.stateDir })
  await status('ready')
  await second.end('SIGKILL')
  t.match((await status('lost')).payload, { schema: 'status/1' }, 'after kill -9 the broker tells the Will')

  const late = subscribe(t, url, `deapd/v1/${site}/press-3/status`)
  t.match(await hear(late, () => true), { retain: 1, payload: { state: 'lost' } }, 'and keeps it for late readers')
})

t.test('a broker that is away is no reason not to answer', { timeout }, async (t) => {
  const port = await freePort()
  const daemon = await startDaemon(t, { args: ['--mqtt', `mqtt://127.0.0.1:${port}`] })
  t.match(await daemon.json('/healthz'), { status: 'ok' })
  t.match(daemon.log(), /cannot be reached/)
})
