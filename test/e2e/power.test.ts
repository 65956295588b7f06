import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { deapd, startDaemon, workFolder } from './support/daemon.ts'

/** The governor may never go without a tick for longer (issue 2: "no gap > 200 ms"). */
const longestGapMs = 200
/** A machine that stood still is not a governor that paused: then the whole is done again, so often in all. */
const tries = 3
const clockFiles = [
  'sys/class/devfreq/17000000.gpu/min_freq',
  'sys/class/devfreq/17000000.gpu/max_freq',
  ...[0, 4, 8].flatMap((policy) => [
    `sys/devices/system/cpu/cpufreq/policy${policy}/scaling_min_freq`,
    `sys/devices/system/cpu/cpufreq/policy${policy}/scaling_max_freq`,
  ]),
]
const readClocks = (stateDir: string): string[] =>
  clockFiles.map((file) => readFileSync(join(stateDir, 'twin', file), 'latin1'))

/** Asks again and again, so that the engine is busy until the signal. Returns what went wrong meanwhile. */
async function burst(url: string, model: string, signal: AbortSignal): Promise<string[]> {
  const faults: string[] = []
  const one = async (): Promise<void> => {
    while (!signal.aborted) {
      const body = JSON.stringify({ model, prompt: 'Tell me about my order.', max_tokens: 64 })
      const headers = { 'content-type': 'application/json' }
      const reply = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body, signal }).catch(() => null)
      if (reply !== null && !reply.ok) faults.push(await reply.text())
      await reply?.text().catch(() => '')
    }
  }
  await Promise.all([one(), one()])
  return faults
}

const modelOf = async (daemon: { json(path: string): Promise<unknown> }): Promise<string> =>
  ((await daemon.json('/v1/models')) as { data: { id: string }[] }).data[0].id

/** A scenario that ends with the longest time the governor went without a tick. */
function unpaused(name: string, scenario: (t: Test) => Promise<number>): void {
  t.test(name, async (t) => {
    let gapMs = Number.POSITIVE_INFINITY
    for (let left = tries; left > 0 && gapMs >= longestGapMs; left--) {
      await t.test(`${left} tries left`, async (t) => {
        gapMs = await scenario(t)
      })
    }
    t.ok(gapMs < longestGapMs, `the governor never paused: ${gapMs} ms`)
  })
}

unpaused('a lower budget in the middle of a burst', async (t) => {
  // The law runs where a token costs least, some 23 W: only a budget below that moves it.
  const daemon = await startDaemon(t)
  const ending = new AbortController()
  t.teardown(() => ending.abort())
  const asking = burst(daemon.url, await modelOf(daemon), ending.signal)
  const before = await daemon.powerWhen(
    ({ engine, governor, power }) =>
      engine.active_requests > 0 && power.total_watts > 18 && governor.reason !== 'start',
  )
  t.equal(before.power.budget_watts, 50)

  const { code, stdout } = await deapd('budget', '18', '--url', daemon.url)
  t.equal(code, 0, stdout)
  const after = await daemon.powerWhen(
    ({ power, clocks, governor }) =>
      power.budget_watts === 18 &&
      (clocks.gpu_cap_hz < before.clocks.gpu_cap_hz || governor.level < before.governor.level),
  )
  t.match(after.governor.explanation, /18\.0 W/, after.governor.reason)
  t.equal(after.clocks.gpu_cap_applied_hz, after.clocks.gpu_cap_hz, 'the clock file has it')
  t.equal(readClocks(daemon.stateDir)[1], `${after.clocks.gpu_cap_hz}\n`)
  t.match(
    daemon.log(),
    /"reason":"(budget_changed|predicted_over_budget|over_budget|brown_out)"/,
    'and the log tells why',
  )
  const held = await daemon.powerWhen(({ power }) => power.total_watts < 18)
  t.ok(held.power.total_watts < 18, `${held.power.total_watts} W`)

  const refused = await fetch(`${daemon.url}/v1/power/budget`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ watts: -5 }),
  })
  t.equal(refused.status, 400)
  t.equal((await daemon.power()).power.budget_watts, 18, 'a bad order changes nothing')
  ending.abort()
  t.same(await asking, [])
  return (await daemon.power()).governor.longest_gap_ms
})

unpaused('kill -9 of the engine in the middle of an answer', async (t) => {
  const daemon = await startDaemon(t)
  const reply = await fetch(`${daemon.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: await modelOf(daemon),
      prompt: 'Once upon a time',
      max_tokens: 400,
      stream: true,
    }),
  })
  const { engine } = (await daemon.json('/readyz')) as { engine: { pid: number } }
  let events = ''
  let killed = false
  for await (const piece of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    events += piece
    if (!killed) killed = process.kill(engine.pid, 'SIGKILL')
  }
  const lines = events.split('\n').filter((line) => line.startsWith('data: '))
  const faults = lines.filter((line) => line.includes('"error"')).map((line) => JSON.parse(line.slice(6)))
  t.match(faults, [{ error: { code: 'engine_lost', message: /SIGKILL/ } }], 'the answer ends with one error event')

  const back = await daemon.powerWhen((power) => power.engine.state === 'ready' && power.engine.restarts === 1)
  t.not(back.engine.pid, engine.pid)
  const again = await fetch(`${daemon.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: await modelOf(daemon), prompt: 'Once', max_tokens: 4 }),
  })
  t.equal(again.status, 200, 'and it answers again')
  return back.governor.longest_gap_ms
})

t.test('kill -9 of the daemon leaves clocks that `deapd restore` puts back', async (t) => {
  const stateDir = workFolder(t)
  const first = await startDaemon(t, { stateDir })
  t.match(await first.end('SIGTERM'), { code: 0 })
  const originals = readClocks(stateDir)

  const daemon = await startDaemon(t, { stateDir })
  await daemon.powerWhen(({ clocks }) => clocks.gpu_cap_applied_hz === clocks.gpu_cap_hz)
  const { pid } = (await daemon.power()).engine
  await daemon.end('SIGKILL')
  t.notSame(readClocks(stateDir), originals, 'the caps outlive the process, as on a real board')
  t.ok(await gone(pid), 'the engine does not outlive its daemon')

  const { code, stdout } = await deapd('restore', '--state', stateDir)
  t.equal(code, 0)
  t.match(stdout, /Put back/)
  t.same(readClocks(stateDir), originals, 'byte for byte')
  t.match(await deapd('restore', '--state', stateDir), { code: 0, stdout: /nothing to restore/ })
})

t.test('Ctrl-C ends it within 5 s, also in the middle of an answer, and the clocks are as they were', async (t) => {
  const stateDir = workFolder(t)
  const daemon = await startDaemon(t, { stateDir })
  const ending = new AbortController()
  t.teardown(() => ending.abort())
  const asking = burst(daemon.url, await modelOf(daemon), ending.signal)
  await daemon.powerWhen(({ engine }) => engine.active_requests > 0)
  const { code, ms } = await daemon.end('SIGINT')
  ending.abort()
  await asking
  t.equal(code, 0)
  t.ok(ms < 5000, `${Math.round(ms)} ms`)
  t.match(await deapd('restore', '--state', stateDir), { code: 0, stdout: /nothing to restore/ })
  t.match(readClocks(stateDir)[1], '1300500000\n')
})

t.test('no library writes home or speaks to its maker', async (t) => {
  // ONNX Runtime 1.30 keeps a device id and an upload queue in the home folder unless it is told not to; in CI it does not.
  const home = t.testdir({ home: {} })
  const { CI: _, XDG_CACHE_HOME: __, ORT_DISABLE_TELEMETRY: ___, ...env } = process.env
  const stateDir = join(home, 'state')
  const daemon = await startDaemon(t, { stateDir, env: { ...env, HOME: join(home, 'home') } })
  t.match(await daemon.json('/readyz'), { status: 'ready' })
  t.same(readdirSync(join(home, 'home')), [])
})

t.test('a busy port is named with the option that chooses another', async (t) => {
  const busy = createServer().listen(0, '127.0.0.1')
  await once(busy, 'listening')
  t.teardown(() => busy.close())
  const { port } = busy.address() as { port: number }
  const start = (listen: string, mqtt: string) =>
    deapd('serve', '--state', t.testdir(), '--listen', listen, '--mqtt', mqtt)

  const http = await start(`127.0.0.1:${port}`, 'none')
  t.equal(http.code, 1)
  t.match(http.stderr, new RegExp(`Port ${port} .*--listen`, 's'))
  t.notMatch(http.stderr, /\n\s+at /, 'no stack trace')

  const mqtt = await start('127.0.0.1:0', `embedded:${port}`)
  t.equal(mqtt.code, 1)
  t.match(mqtt.stderr, new RegExp(`Port ${port} .*--mqtt`, 's'))
})

/** True as soon as there is no such process, or only its entry in the process table. */
async function gone(pid: number | null): Promise<boolean> {
  for (let tries = 0; tries < 50; tries++) {
    try {
      if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return true
    } catch {
      return true
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}
