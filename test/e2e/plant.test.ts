import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { deapd, repository, run, startDaemon, workFolder } from './support/daemon.ts'

const plantScript = join(repository, 'examples/plant.mjs')
const gpu = 'sys/class/devfreq/17000000.gpu'

/** The plant without a daemon behind it yet: a tree that its own process moves. */
async function startPlant(t: Test, dir: string, ...args: string[]) {
  const child = spawn(process.execPath, [plantScript, '--dir', dir, '--daemon', 'http://127.0.0.1:9', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  await once(child.stdout, 'data')
  const rest = text(child.stdout)
  return {
    async end() {
      child.kill('SIGTERM')
      return JSON.parse(await rest)
    },
  }
}

t.test('the budget holds on a plant that deapd has never seen', { timeout: 120_000 }, async (t) => {
  const script = join(repository, 'scripts/plant-figures.mjs')
  const sensors = ['hwmon', 'tegrastats:100', 'tegrastats:1000']
  const args = ['--seconds', '12', '--json', '--scale', '1.3', '--sensors', sensors.join(',')]
  const { code, stdout, stderr } = await run(process.execPath, [script, ...args])
  t.equal(code, 0, stderr)
  const { rows } = JSON.parse(stdout)
  t.same(
    rows.map(({ sensor }: { sensor: string }) => sensor),
    sensors,
  )
  for (const row of rows) {
    t.ok(row.windows > 50 && row.tokens > 100 && row.busy_seconds > 1, `${row.sensor}: it worked, ${row.tokens} tokens`)
    t.equal(row.refused, 0)
    t.ok(row.mean_watts > 8, 'and drew power')
    // Lines a second apart show an excursion only when it is over: that figure is printed, and bounded loosely.
    const bound = row.sensor === 'tegrastats:1000' ? 0.5 : 0.02
    t.ok(row.share_over <= bound, `${row.sensor}: ${row.windows_over} of ${row.windows} windows over`)
  }
})

t.test('sensors that vanish and return, numbers that change, clocks that others write', async (t) => {
  const dir = join(workFolder(t), 'board')
  await startPlant(t, dir)
  const daemon = await startDaemon(t, { args: ['--sysfs-root', dir], stateDir: join(dir, '../state') })
  const path = (...names: string[]): string => join(dir, ...names)
  const max = path(gpu, 'max_freq')
  t.match(await daemon.powerWhen(({ power }) => power.total_watts !== null), { power: { total_watts: Number } })
  t.equal(readFileSync(max, 'utf8'), '306000000\n', 'at rest')

  renameSync(path('sys/class/hwmon/hwmon3'), path('unbound'))
  await daemon.powerWhen(({ governor }) => /^telemetry|^sensor/.test(governor.reason))
  renameSync(path('unbound'), path('sys/class/hwmon/hwmon5'))
  mkdirSync(path('sys/class/hwmon/hwmon3'))
  await daemon.powerWhen(({ power, governor }) => power.total_watts !== null && !/^telemetry/.test(governor.reason))

  writeFileSync(max, '1300500000\n')
  const drifted = await daemon.powerWhen(() => readFileSync(max, 'utf8') === '306000000\n')
  t.ok(drifted, 'ours again')
  rmSync(path('sys/devices/system/cpu/cpufreq/policy4'), { recursive: true })
  writeFileSync(max, '816000000\n')
  t.match(await daemon.end('SIGTERM'), { code: 0 }, 'a cluster that is gone keeps nothing from ending')
  t.equal(readFileSync(max, 'utf8'), '1300500000\n', 'what stood before deapd, not what others wrote meanwhile')
  t.notOk(existsSync(join(dir, '../state/clocks.json')))
})

t.test('SIGTERM at any moment of the start leaves the clocks as they were', async (t) => {
  const folder = workFolder(t)
  const dir = join(folder, 'board')
  await startPlant(t, dir)
  const clocks = () => ['min_freq', 'max_freq'].map((name) => readFileSync(join(dir, gpu, name), 'utf8'))
  const before = clocks()
  const args = [join(repository, 'dist/main.js'), 'serve', '--sysfs-root', dir, '--state', join(folder, 'state')]
  for (const ms of [20, 150, 300, 450, 600, 800]) {
    const child = spawn(process.execPath, [...args, '--listen', '127.0.0.1:0', '--mqtt', 'none'], { stdio: 'ignore' })
    const exited = once(child, 'exit')
    await new Promise((resolve) => setTimeout(resolve, ms))
    child.kill('SIGTERM')
    await exited
    t.same(clocks(), before, `after ${ms} ms`)
    t.notOk(existsSync(join(folder, 'state/clocks.json')), `nothing is left to restore after ${ms} ms`)
  }
})

t.test('two daemons never steer the same clocks, and nobody restores under a running one', async (t) => {
  const folder = workFolder(t)
  const dir = join(folder, 'board')
  await startPlant(t, dir)
  const args = ['--sysfs-root', dir]
  const first = await startDaemon(t, { args, stateDir: join(folder, 'one') })
  const second = ['serve', ...args, '--state', join(folder, 'two'), '--listen', '127.0.0.1:0', '--mqtt', 'none']
  t.match(await deapd(...second), { code: 1, stderr: /Another deapd already steers the clocks/ })
  t.notOk(existsSync(join(folder, 'two/clocks.json')))
  t.match(await deapd('restore', '--state', first.stateDir), { code: 1, stderr: /Another deapd \(process \d+\)/ })
  await first.end('SIGKILL')
  t.match(await deapd('restore', '--state', first.stateDir), { code: 0, stdout: /Put back 2 clock files/ })
  const third = await startDaemon(t, { args, stateDir: join(folder, 'one') })
  const { previous } = (await third.json('/v1/power/blackbox')) as { previous: { clean: boolean; rows: unknown[] } }
  t.match(previous, { clean: false, rows: [{ gpu_cap_hz: 306e6, total_watts: Number, reason: String }] })
  const { stdout } = await deapd('status', '--url', third.url)
  t.match(stdout, /last run +ended at .* without a stop/)
})

t.test('a tree that is no board is refused in words', async (t) => {
  const folder = t.testdir({ empty: {}, pc: { proc: { 'device-tree': { compatible: 'raspberrypi,4\0' } } } })
  for (const name of ['empty', 'pc', 'missing']) {
    const args = ['--state', join(folder, 'state'), '--listen', '127.0.0.1:0', '--mqtt', 'none']
    const { code, stderr } = await deapd('serve', '--sysfs-root', join(folder, name), ...args)
    t.equal(code, 1, name)
    t.match(stderr, /No Jetson was recognised under .*\n/, name)
    t.notMatch(stderr, /\n\s+at /, 'no stack trace')
  }
  t.notOk(readdirSync(folder).includes('missing'))
})
