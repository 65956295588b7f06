import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { agxOrin64gb } from '../src/board/boards/agx-orin-64gb.ts'
import { loadSettings } from '../src/config/load.ts'
import { describeEnd, lastUncleanEnd, openBlackBox } from '../src/daemon/black-box.ts'
import { createBudget } from '../src/daemon/budget.ts'
import { addToWindow, emptyWindow } from '../src/daemon/budget-window.ts'
import { atStart, loadPeriodMs, nextCadence, restPeriodMs } from '../src/daemon/cadence.ts'
import { checks } from '../src/daemon/doctor.ts'
import { createFeed } from '../src/daemon/feed.ts'
import { createLifecycle } from '../src/daemon/lifecycle.ts'
import { createLog } from '../src/daemon/log.ts'
import { createNap } from '../src/daemon/nap.ts'
import { createNotify } from '../src/daemon/notify.ts'
import { choosePlatform } from '../src/daemon/platform.ts'
import { askForPrecedence } from '../src/daemon/precedence.ts'
import { serve } from '../src/daemon/serve.ts'
import { lockState } from '../src/daemon/state-lock.ts'
import { importModel } from '../src/models/import.ts'
import type { Snapshot } from '../src/telemetry/snapshot.ts'
import { createTwin } from '../src/twin/board.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

// biome-ignore lint/suspicious/noExplicitAny: replies are checked by the assertions on them
type Body = any

const quiet = createLog('silent')

async function tinyModel(root: string): Promise<string> {
  const source = writeCheckpoint(join(root, 'hf'), { ...tinyConfig, context: 512 }, tinyWeights(tinyConfig, 1))
  await importModel({ source, out: join(root, 'tiny'), quantisation: 'int8', block: 32, levels: 3 })
  return join(root, 'tiny')
}

/** A daemon on the simulated board, on free ports, in a folder of its own. */
async function start(t: Test, flags: Record<string, unknown> = {}, root = t.testdir({})) {
  const state = join(root, 'state')
  const { settings } = loadSettings(
    { listen: '127.0.0.1:0', mqtt: 'none', state, model: await tinyModel(root), twin: 'agx-orin-64gb', ...flags },
    {},
  )
  const daemon = await serve(settings, {}, quiet)
  let stopped = false
  const stop = async () => {
    if (stopped) return []
    stopped = true
    return daemon.stop()
  }
  t.teardown(async () => {
    await stop()
  })
  const call = async (path: string, body?: object, method = body ? 'POST' : 'GET') => {
    const response = await fetch(daemon.url + path, { method, body: body && JSON.stringify(body) })
    return { status: response.status, body: (await response.json()) as Body }
  }
  return { daemon, state, stop, call, settings }
}

/**
 * Waits for a snapshot that fits; the daemon publishes ten a second. The deadline only ends a wait that would last for ever:
 * on a busy machine of two cores a new engine alone may take more than 15 s.
 */
async function until(snapshot: () => Snapshot, fits: (s: Snapshot) => boolean, what: string): Promise<Snapshot> {
  const deadline = performance.now() + 60_000
  for (;;) {
    const now = snapshot()
    if (fits(now)) return now
    if (performance.now() > deadline) throw new Error(`never saw ${what}: ${JSON.stringify(now)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const long = { messages: [{ role: 'user', content: 'hello world' }], max_tokens: 120 }

t.test('an answer, its bill, and books that balance', async (t) => {
  const { daemon, call } = await start(t)
  const { status, body } = await call('/v1/chat/completions', { ...long, max_tokens: 20 })
  t.equal(status, 200)
  const { energy } = body.usage
  t.match(energy, { method: 'simulated', rail: 'sum3', degraded: false })
  t.equal(
    Object.values(energy.levels as Record<string, number>).reduce((a, b) => a + b),
    body.usage.completion_tokens,
  )
  t.ok(energy.joules > 5 && energy.joules < 100, `20 tokens as a 7B: ${energy.joules} J`)
  t.ok(Math.abs(energy.gco2eq - (energy.joules / 3.6e6) * 481) < 1e-9)
  const { energy: books } = await until(daemon.snapshot, (s) => s.engine.activeRequests === 0, 'the next tick')
  t.ok(Math.abs(books.requestJoules + books.idleJoules - books.totalJoules) < 1e-6 * books.totalJoules)
  t.ok(
    Math.abs(books.requestJoules - energy.joules) < 1e-6 * energy.joules,
    'the only request has all that is not idle',
  )
})

t.test('max_joules ends an answer when its bill is full', async (t) => {
  const { call } = await start(t)
  const { body } = await call('/v1/chat/completions', { ...long, energy: { max_joules: 12 } })
  t.equal(body.choices[0].finish_reason, 'length')
  t.ok(body.usage.completion_tokens < 30)
  t.ok(body.usage.energy.joules >= 12 && body.usage.energy.joules < 20, `${body.usage.energy.joules} J`)
})

t.test('a lower budget in the middle of a burst lowers the clock, and the lease gives it back', async (t) => {
  const { daemon, call } = await start(t, { latency_target_ms: 0 })
  const burst = [call('/v1/chat/completions', long), call('/v1/chat/completions', long)]
  const before = await until(
    daemon.snapshot,
    (s) => s.clocks.gpuCapHz > 7e8 && (s.power.totalWatts ?? 0) > 24,
    'the burst',
  )
  const order = await call('/v1/power/budget', { watts: 20, lease_s: 2 }, 'PUT')
  t.match(order.body, { watts: 20, lease_until: /Z$/ })
  const held = await until(daemon.snapshot, (s) => s.clocks.gpuCapHz < before.clocks.gpuCapHz, 'a lower cap')
  // On a starved machine the law knows the board less well, and 20 W can then want more than the lowest clock.
  t.match(held.governor.reason, /budget_changed|over_budget|predicted_over_budget|brown_out/)
  t.match(held.governor.explanation, /20\.0 W/)
  await until(daemon.snapshot, (s) => (s.power.totalWatts ?? 99) < 20, 'power under the new budget')
  await until(daemon.snapshot, (s) => s.power.budgetWatts === 50, 'the end of the lease')
  t.ok(
    (await Promise.all(burst)).every(({ body }) => body.usage.completion_tokens === 120),
    'no token was lost',
  )
})

t.test('a budget that makes no sense changes nothing', async (t) => {
  const { daemon, call } = await start(t)
  for (const order of [
    { watts: -5 },
    { watts: 'abc' },
    { watts: 1e9 },
    {},
    { watts: 20, lease_s: -1 },
    { watts: null },
  ]) {
    const { status, body } = await call('/v1/power/budget', order, 'PUT')
    t.equal(status, 400, JSON.stringify(order))
    t.match(body.error.message, /old budget stays|Nothing was changed/)
  }
  t.equal(daemon.snapshot().power.budgetWatts, 50)
})

t.test('an engine that is killed comes back, and the loop goes on', async (t) => {
  const { daemon, call } = await start(t)
  const answer = call('/v1/chat/completions', long)
  const busy = await until(daemon.snapshot, (s) => s.engine.activeRequests === 1, 'the request')
  process.kill(Number(busy.engine.pid), 'SIGKILL')
  const { status, body } = await answer
  t.equal(status, 502)
  t.match(body.error, { code: 'engine_lost', message: /SIGKILL/ })
  const back = await until(
    daemon.snapshot,
    (s) => s.engine.state === 'ready' && s.engine.restarts === 1,
    'a new engine',
  )
  t.not(back.engine.pid, busy.engine.pid)
  t.match((await call('/readyz')).body, { engine: { pid: back.engine.pid } })
  t.ok(back.governor.ticks > busy.governor.ticks)
  t.equal((await call('/v1/chat/completions', { ...long, max_tokens: 2 })).status, 200)
})

t.test('the clocks, the totals and the device id are there after a stop', async (t) => {
  const first = await start(t)
  const cap = join(first.state, 'twin/sys/class/devfreq/17000000.gpu/max_freq')
  await until(first.daemon.snapshot, (s) => s.clocks.gpuCapAppliedHz === 306e6, 'the idle cap')
  t.equal(Number(readFileSync(cap, 'utf8')), 306e6)
  t.same(await first.stop(), [], 'everything stopped well')
  t.equal(Number(readFileSync(cap, 'utf8')), 1300.5e6, 'back at what it was')
  const saved = JSON.parse(readFileSync(join(first.state, 'state.json'), 'utf8'))
  t.ok(saved.ledger.total_joules > 0)
  t.equal(saved.running_since, null)
  const second = await serve(first.settings, {}, quiet)
  t.teardown(() => second.stop())
  t.equal(second.device, saved.device_id)
  t.ok(second.snapshot().energy.totalJoules >= saved.ledger.total_joules, 'totals go on')
})

t.test('two daemons never share a state folder, and a busy port leaves nothing behind', async (t) => {
  const { daemon, state, settings } = await start(t)
  await t.rejects(serve(settings, {}, quiet), { code: 'state_busy', message: new RegExp(String(process.pid)) })
  const listen = new URL(daemon.url).host
  await t.rejects(serve({ ...settings, state: `${state}-2`, listen }, {}, quiet), {
    code: 'port_busy',
    message: new RegExp(listen.split(':')[1]),
  })
  const cap = join(`${state}-2`, 'twin/sys/class/devfreq/17000000.gpu/max_freq')
  t.equal(Number(readFileSync(cap, 'utf8')), 1300.5e6)
})

t.test('a board from outside: the real adapters steer a tree that somebody else moves', async (t) => {
  const root = t.testdir({})
  // Any program could write this tree; here it is the plant, driven from the test as a foreign process would.
  const plant = createTwin({ board: agxOrin64gb, root: join(root, 'board'), now: () => performance.now() })
  plant.start()
  t.teardown(() => plant.stop())
  const { daemon, call } = await start(t, { twin: '', sysfs_root: join(root, 'board') }, root)
  t.equal(daemon.platform.simulated, false)
  t.equal(daemon.platform.board.id, 'agx-orin-64gb')
  const seen = await until(daemon.snapshot, (s) => s.power.totalWatts !== null, 'a reading')
  t.match(seen, { board: { sensor: 'hwmon', simulated: false }, energy: { method: 'measured' } })
  const { body } = await call('/v1/chat/completions', { ...long, max_tokens: 3 })
  t.match(body.usage.energy, { method: 'measured' })
  t.ok(
    body.usage.energy.joules === null
      ? /resolution|reading/.test(body.usage.energy.joules_reason)
      : body.usage.energy.joules > 0,
  )
  t.throws(() => choosePlatform({ twin: '', sysfs_root: join(root, 'nothing') }, root), { code: 'board_not_found' })
  t.throws(() => choosePlatform({ twin: 'toaster', sysfs_root: '' }, root), { code: 'board_unknown' })
})

t.test('without a sensor the daemon runs at its safest point and says why', async (t) => {
  const root = t.testdir({})
  const plant = createTwin({ board: agxOrin64gb, root: join(root, 'board'), now: () => performance.now() })
  plant.stop()
  for (const chip of ['hwmon0', 'hwmon1', 'hwmon2', 'hwmon3']) {
    try {
      writeFileSync(join(root, 'board/sys/class/hwmon', chip, 'name'), 'gone\n')
    } catch {
      // The tree has fewer chips than that.
    }
  }
  const { daemon, call } = await start(t, { twin: '', sysfs_root: join(root, 'board') }, root)
  const seen = await until(daemon.snapshot, (s) => s.governor.ticks > 3, 'some ticks')
  t.equal(seen.power.totalWatts, null)
  t.match(seen.power.totalWattsReason, /no power sensor/)
  t.match(seen.governor.reason, /telemetry/)
  t.equal(seen.clocks.gpuCapHz, 306e6)
  const { body } = await call('/v1/chat/completions', { ...long, max_tokens: 2 })
  t.equal(body.usage.energy.joules, null, 'unknown is never zero')
  t.match(body.usage.energy.joules_reason, /./)
})

t.test('a hold is kept, stays below the budget, and ends', async (t) => {
  const { daemon, call } = await start(t)
  const burst = call('/v1/chat/completions', long)
  await call('/v1/power/hold', { gpu_mhz: 408, level: 1, lease_s: 2 }, 'PUT')
  const held = await until(daemon.snapshot, (s) => s.governor.reason === 'hold', 'the hold')
  t.match(held, {
    clocks: { gpuCapHz: 408e6 },
    governor: { level: 1, holdGpuHz: 408e6, holdLevel: 1, holdSource: 'http' },
  })
  await until(daemon.snapshot, (s) => s.governor.holdSource === 'none', 'the end of its lease')
  await call('/v1/power/hold', { level: 0 }, 'PUT')
  await until(daemon.snapshot, (s) => s.governor.holdLevel === 0 && s.governor.level === 0, 'a hold without a lease')
  await call('/v1/power/hold', undefined, 'DELETE')
  await until(daemon.snapshot, (s) => s.governor.holdSource === 'none', 'its release')
  await burst
})

t.test('budget orders', async (t) => {
  let now = new Date('2026-01-01T00:00:00Z')
  const make = (earlier: Parameters<typeof createBudget>[0]['earlier']) =>
    createBudget({ board: agxOrin64gb, configuredWatts: 50, now: () => now, earlier, onChange: () => undefined })
  const budget = make(null)
  t.match(budget.set(32, 60, 'mqtt'), { watts: 32, source: 'mqtt', leaseUntil: new Date('2026-01-01T00:01:00Z') })
  t.notOk(budget.expire(new Date('2026-01-01T00:00:59Z')))
  t.ok(budget.expire(new Date('2026-01-01T00:01:00Z')))
  t.match(budget.get(), { watts: 50, source: 'config', leaseUntil: null })
  const earlier = { watts: 20, source: 'mqtt', leaseUntil: new Date('2026-01-01T01:00:00Z') }
  t.equal(make(earlier).get().watts, 20, 'a lease outlives a restart')
  now = new Date('2026-01-01T02:00:00Z')
  t.equal(make(earlier).get().watts, 50, 'but not its end')
})

t.test('parts stop in reverse, each in its time, and one that hangs does not keep the others', async (t) => {
  const order: string[] = []
  const lifecycle = createLifecycle()
  lifecycle.add('first', () => order.push('first'))
  lifecycle.add('stuck', () => new Promise(() => undefined))
  lifecycle.add('broken', () => {
    throw new Error('no')
  })
  lifecycle.add('last', () => order.push('last'))
  t.match(await lifecycle.stop(50), [/broken: no/, /stuck: did not stop/])
  t.same(order, ['last', 'first'])
})

t.test('the black box shows the last minute of a run that did not end by itself', async (t) => {
  const dir = t.testdir({})
  const about = { version: '1', board: 'agx-orin-64gb', rails: ['A', 'B'] }
  const snapshot: Snapshot = JSON.parse(readFileSync(new URL('golden/snapshot.json', import.meta.url), 'utf8'))
  const at = (ms: number): Snapshot => ({
    ...snapshot,
    monoMs: ms,
    ts: new Date(Date.UTC(2026, 0, 1) + ms).toISOString(),
    power: { ...snapshot.power, totalWatts: ms / 1000, railWatts: { A: 1.23456, C: 9 } },
  })
  const killed = openBlackBox(dir, about, quiet)
  t.equal(killed.previous(), null)
  for (let ms = 0; ms < 90_000; ms += 50) killed.record(at(ms))
  // No close: as after kill -9.
  const next = openBlackBox(dir, about, quiet)
  const report = next.previous()
  t.match(report, { clean: false, endedAt: '2026-01-01T00:01:29.900Z', board: 'agx-orin-64gb' })
  t.equal(report?.rows.length, 600, 'ten a second')
  t.match(report?.rows.at(-1), { totalWatts: 89.9, railWatts: { A: 1.235, B: null }, reason: snapshot.governor.reason })
  t.match(report && describeEnd(report), /89\.9 W of 32 W/)
  t.same(lastUncleanEnd(dir), report, 'doctor finds it without a daemon')
  next.record(at(0))
  t.match(next.current(), { clean: false, rows: [{ totalWatts: 0 }] })
  next.close()
  t.equal(openBlackBox(dir, about, quiet).previous(), null, 'a clean end is nothing to show')
  for (let run = 0; run < 8; run += 1) openBlackBox(dir, about, quiet).record(at(run * 1000))
  t.equal(readdirSync(join(dir, 'blackbox')).length, 5, 'a crash loop fills no disk')
  writeFileSync(join(dir, 'file'), '')
  const without = openBlackBox(join(dir, 'file'), about, quiet)
  without.record(at(0))
  t.same([without.previous(), without.current()], [null, null], 'no disk, no black box, no harm')
})

t.test('fast while there is something to steer, once a second at rest', async (t) => {
  const rest = { requests: 0, engineChanging: false, overBudget: false, clocksMoving: false }
  let cadence = atStart(0)
  const at = (atMs: number, activity: Partial<typeof rest> = {}): number => {
    cadence = nextCadence(cadence, atMs, { ...rest, ...activity })
    return cadence.periodMs
  }
  t.equal(at(500), loadPeriodMs, 'a second of grace')
  t.equal(at(1500), restPeriodMs)
  const needs = [{ requests: 1 }, { engineChanging: true }, { overBudget: true }, { clocksMoving: true }]
  for (const [index, activity] of needs.entries()) {
    const atMs = 10_000 * (index + 1)
    t.equal(at(atMs, activity), loadPeriodMs, JSON.stringify(activity))
    t.equal(at(atMs + 900), loadPeriodMs)
    t.equal(at(atMs + 1100), restPeriodMs)
  }
})

t.test('seconds over the budget do not depend on how often one looks', async (t) => {
  // Ten seconds at 40 W, five at 60 W, ten at 40 W, under 50 W.
  const wattsAt = (atMs: number): number => (atMs > 10_000 && atMs <= 15_000 ? 60 : 40)
  for (const periodMs of [50, 100, 333, 1000]) {
    let window = emptyWindow
    for (let atMs = periodMs; atMs <= 25_000; atMs += periodMs) {
      window = addToWindow(window, { atMs, seconds: periodMs / 1000, watts: wattsAt(atMs) }, 50)
    }
    // The mean crosses half a second after each edge, give or take one period.
    t.ok(Math.abs(window.secondsOver - 5) <= (2 * periodMs) / 1000, `${periodMs} ms: ${window.secondsOver} s`)
    t.ok(window.meanWatts !== null && Math.abs(window.meanWatts - 40) < 1e-9)
    t.equal(
      addToWindow(window, { atMs: 25_050, seconds: 0.05, watts: null }, 50).meanWatts,
      null,
      'unknown is not zero',
    )
    t.equal(addToWindow(window, { atMs: 25_050, seconds: 0.05, watts: 40 }, 30).meanWatts, null, 'a new promise')
  }
})

t.test('a wake-up is never lost', async (t) => {
  const nap = createNap()
  t.equal(await nap.take(1), false)
  nap.wake()
  t.equal(await nap.take(60_000), true, 'before the sleep')
  const asleep = nap.take(60_000)
  nap.wake()
  t.equal(await asleep, true, 'during it')
  t.equal(await nap.take(0), false)
})

t.test('a listener that throws does not silence the others', async (t) => {
  const faults: unknown[] = []
  const heard: number[] = []
  const feed = createFeed<number>((fault) => faults.push(fault))
  feed.subscribe(() => {
    throw new Error('no')
  })
  const leave = feed.subscribe((n) => heard.push(n))
  feed.publish(1)
  leave()
  feed.publish(2)
  t.same(heard, [1])
  t.equal(faults.length, 2)
})

t.test('systemd hears from the loop, at half the watchdog’s period', async (t) => {
  const dir = t.testdir({ bin: {} })
  const tool = join(dir, 'bin', 'systemd-notify')
  writeFileSync(tool, `#!/bin/sh\necho "$@" >> '${join(dir, 'said')}'\n`, { mode: 0o755 })
  const path = process.env.PATH
  process.env.PATH = `${join(tool, '..')}:${path}`
  t.teardown(() => {
    process.env.PATH = path
  })
  let now = 0
  const notify = createNotify({ NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '10000000' }, () => now)
  for (now = 0; now <= 10_000; now += 100) notify.alive()
  const said = async (): Promise<string[]> => {
    for (let i = 0; i < 200; i++) {
      try {
        const lines = readFileSync(join(dir, 'said'), 'utf8').trim().split('\n')
        if (lines.length >= 3) return lines
      } catch {
        // Not written yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return []
  }
  t.same(await said(), ['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
  createNotify({}, () => 0).ready('nothing listens')
})

t.test('the governor’s thread comes first where that is allowed, and what it starts does not', async (t) => {
  if (process.platform !== 'linux') return t.pass('only Linux is asked')
  const policy = (stat: string) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38])
  const [ordinary, roundRobin] = [0, 2]
  const child = spawn('sh', ['-c', 'read line; cat /proc/self/stat'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const granted = await askForPrecedence(child.pid)
  t.equal(policy(readFileSync(`/proc/${child.pid}/stat`, 'utf8')), granted ? roundRobin : ordinary)
  if (!granted) t.comment('real-time priority is not allowed here')
  child.stdin.end('\n')
  t.equal(policy((await child.stdout.toArray()).join('')), ordinary)
  t.equal(await askForPrecedence(2 ** 22 + 1), false, 'a refusal is an answer')
})

t.test('a lock outlives no process', async (t) => {
  const dir = t.testdir({})
  const unlock = lockState(dir)
  unlock()
  writeFileSync(join(dir, 'deapd.lock'), '{"pid": 999999, "started": "1"}')
  lockState(dir)()
  writeFileSync(join(dir, 'deapd.lock'), 'torn')
  lockState(dir)()
  writeFileSync(join(dir, 'file'), '')
  t.throws(() => lockState(join(dir, 'file', 'below')), { code: 'state_unwritable' })
  t.throws(() => lockState('/proc/deapd'), { code: 'state_unwritable' }, 'a recursive mkdir never ends there')
})

t.test('doctor passes on the simulated board and names what is wrong', async (t) => {
  const root = t.testdir({})
  const { settings } = loadSettings({ model: await tinyModel(root) }, {})
  const results = await Promise.all(checks.map((check) => check({ settings, stateDir: join(root, 'state') })))
  t.same(
    results.filter(({ result }) => result !== 'pass'),
    [],
  )
  const broken = await Promise.all(
    checks.map((check) => check({ settings: { ...settings, model: root, sysfs_root: root }, stateDir: root })),
  )
  t.match(
    broken.find(({ name }) => name === 'model'),
    { result: 'fail', hint: /deapd models import/ },
  )
  t.match(
    broken.find(({ name }) => name === 'board'),
    { result: 'fail', detail: /No Jetson/ },
  )
})
