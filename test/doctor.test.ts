import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { boards, findBoard } from '../src/board/boards/index.ts'
import { loadSettings } from '../src/config/load.ts'
import type { Check } from '../src/daemon/check.ts'
import { boardChecks, comparePoints } from '../src/daemon/doctor-board.ts'
import { isIdentifying } from '../src/daemon/fixture.ts'
import { choosePlatform } from '../src/daemon/platform.ts'
import { record } from '../src/daemon/record.ts'
import { measuredUncertainty } from '../src/energy/uncertainty.ts'
import { monotonicMs } from '../src/engine/protocol.ts'
import { discoverPower } from '../src/power/discover.ts'
import { createTwin } from '../src/twin/board.ts'

const settingsFor = (root: string, more: Record<string, string> = {}) =>
  loadSettings({ sysfs_root: root, ...more }, {}).settings

async function examine(root: string, more: Record<string, string> = {}): Promise<Readonly<Record<string, Check>>> {
  const context = { settings: settingsFor(root, more), stateDir: join(root, '..', 'state') }
  const results: Check[] = []
  for (const check of boardChecks) results.push(await check(context))
  return Object.fromEntries(results.map((result) => [result.name, result]))
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** A tree as the twin leaves it, at rest. */
function treeOf(folder: string, id: string): string {
  const root = join(folder, id)
  const twin = createTwin({ board: findBoard(id), root, now: () => 0 })
  twin.refresh(1000)
  twin.stop()
  return root
}

t.test('every board: detected, read and examined on its own tree', async (t) => {
  const folder = t.testdir()
  for (const board of boards) {
    const root = treeOf(folder, board.id)
    const platform = choosePlatform({ twin: '', sysfs_root: root }, folder)
    t.match(platform, { board: { id: board.id }, simulated: false, certain: true })
    const source = discoverPower(board, { root, tegrastats: null, now: monotonicMs })
    const reading = await source.read(monotonicMs())
    await source.close()
    t.ok(
      Math.abs((reading.totalWatts ?? 0) / board.model.idleWatts - 1) < 0.15,
      `${board.id}: ${reading.totalWatts} W idle`,
    )
    t.match(reading, {
      source: 'hwmon',
      totalRule: board.total.name,
      trips: { ...board.trips, from: 'read' },
      overCurrentEvents: { oc1: 0, oc2: 0, oc3: 0 },
    })
    t.ok(Number(reading.throttleMarginKelvin) > 20)
    const found = await examine(root)
    t.strictSame(
      Object.values(found).filter(({ result }) => result !== 'pass'),
      [],
      `${board.id}: nothing to complain of`,
    )
    t.match(found.board.detail, `${board.name}: ${board.partNumbers[0]} in the device tree`)
    t.match(found.sensors.detail, `by rule ${board.total.name}`)
    t.match(found.points.detail, 'as expected')
    t.match(found.release.detail, `L4T R${board.l4tMajor}`)
  }
})

t.test('doctor names what is odd, with a code and what to do', async (t) => {
  const folder = t.testdir()
  const root = treeOf(folder, 'orin-nano-8gb')
  put(root, 'etc/nv_tegra_release', '# R36 (release), REVISION: 4.7, GCID: 1, BOARD: generic\n')
  put(root, 'sys/class/devfreq/17000000.gpu/available_frequencies', '114750000 216750000 624750000\n')
  put(root, 'sys/class/hwmon/hwmon0/oc3_event_cnt', '27\n')
  put(root, 'sys/class/thermal/cooling_device1/type', 'cpu-throttle-alert\n')
  put(root, 'sys/class/thermal/cooling_device1/cur_state', '1\n')
  put(root, 'proc/meminfo', 'MemTotal: 7802880 kB\nMemAvailable: 5000000 kB\n')
  put(root, 'proc/buddyinfo', 'Node 0, zone   Normal    216     55      4 \n')
  put(root, 'etc/nvpmodel.conf', '< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n')
  put(root, 'var/lib/nvpmodel/status', 'pmode:0001 fmode:quiet\n')
  const found = await examine(root)
  const codes = Object.fromEntries(Object.values(found).map(({ name, code }) => [name, code]))
  t.strictSame(codes, {
    board: null,
    release: 'release_regression',
    sensors: null,
    heat: 'throttling',
    current: 'over_current',
    points: 'points_differ',
    clocks: null,
    rights: null,
    mode: null,
    blocks: 'memory_fragmented',
  })
  for (const { code, hint, detail } of Object.values(found)) t.ok(code === null || hint !== '', detail)
  t.match(found.mode.detail, '7W of 15W, 7W')
  t.match(found.current.detail, 'oc3 27')
  rmSync(join(root, 'sys/class/hwmon'), { recursive: true })
  rmSync(join(root, 'sys/class/devfreq'), { recursive: true })
  const bare = await examine(root)
  t.match(bare.sensors, { result: 'fail', code: 'sensor_missing', detail: /no power monitor/ })
  t.match(bare.clocks, { result: 'fail', code: 'clocks_failed', detail: /no GPU clock/ })
  put(root, 'proc/device-tree/compatible', 'acme,box\0')
  t.match((await examine(root)).board, { result: 'fail', code: 'board_not_found' })
  t.match(comparePoints(findBoard('agx-thor'), []), { code: 'points_unlisted' })
})

t.test('an unknown part number is taken by its rails, and doctor says so', async (t) => {
  const root = treeOf(t.testdir(), 'agx-orin-32gb')
  put(root, 'proc/device-tree/compatible', 'acme,carrier\0nvidia,p3701-9999\0nvidia,tegra234\0')
  const found = await examine(root)
  t.match(found.board, { result: 'warn', code: 'board_guessed', detail: /taken for Jetson AGX Orin 32GB/ })
  t.match(found.sensors, { result: 'pass' })
})

t.test('a PC is measured by its own instruments when they are asked for', async (t) => {
  const folder = t.testdir()
  const host = choosePlatform({ twin: '', sysfs_root: '', sensor: 'rapl' }, folder)
  t.match(host, { board: { id: 'host' }, simulated: false, root: '/', why: /--sensor rapl/ })
  t.match(choosePlatform({ twin: '', sysfs_root: '', sensor: 'auto' }, folder), { simulated: true })
  t.ok(measuredUncertainty(host.board, 1, 10) > 0, 'its joules are not exact')
  t.notOk(boards.includes(host.board), 'it is nothing to simulate')
})

t.test('record makes a fixture that stands for the board, without what tells one from another', async (t) => {
  const folder = t.testdir()
  const root = treeOf(folder, 'agx-orin-64gb')
  put(root, 'proc/device-tree/serial-number', '1423821012345\0')
  put(root, 'sys/class/net/eth0/address', '48:b0:2d:12:34:56\n')
  put(root, 'sys/class/thermal/thermal_zone7/type', '48:b0:2d:12:34:56\n')
  rmSync(join(root, 'sys/class/thermal/thermal_zone2/temp'))
  mkdirSync(join(root, 'sys/class/thermal/thermal_zone2/temp'))
  const platform = choosePlatform({ twin: '', sysfs_root: root }, folder)
  const out = join(folder, 'fixture')
  const settings = settingsFor(root)
  const recorded = await record(platform, { out, seconds: 0.3, intervalMs: 50, settings })
  t.match(recorded, {
    readings: 6,
    unknown: 0,
    withheld: ['sys/class/thermal/thermal_zone7/type'],
    unreadable: ['sys/class/thermal/thermal_zone2/temp'],
  })
  const copied = readdirSync(join(out, 'root'), { recursive: true }).map(String)
  t.notOk(copied.some((path) => /serial|address|net/.test(path)))
  t.notMatch(readFileSync(join(out, 'PROVENANCE.md'), 'utf8'), /\d{13}|2d:12/)
  await t.rejects(record(platform, { out, seconds: 0, intervalMs: 50, settings }), { code: 'output_exists' })

  // The fixture is a board like any other: detected, examined, and played by the daemon's own sensors.
  const again = choosePlatform({ twin: '', sysfs_root: join(out, 'root') }, folder)
  t.equal(again.board.id, 'agx-orin-64gb')
  const sensor = `replay:${join(out, 'trace.jsonl')}@10`
  const found = await examine(join(out, 'root'), { sensor })
  t.match(found.sensors, { result: 'pass', detail: /^replay: \d/ })
  const rows = readFileSync(join(out, 'trace.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(rows[0], { schema: 'deapd-trace/1', board: 'agx-orin-64gb', interval_ms: 50 })
  t.match(rows[1], {
    at_ms: Number,
    source: 'hwmon',
    rail_watts: { VDD_GPU_SOC: Number },
    gpu_hz: 306_000_000,
    throttling: [],
  })
  t.equal(rows[1].cpu_hz.length, 3)
  t.notOk(existsSync(join(out, 'tegrastats.txt')), 'no log without a command')
})

t.test('what identifies a board or a network is recognised', async (t) => {
  for (const text of ['48:b0:2d:12:34:56', 'x 48-B0-2D-12-34-56', 'serial 1423821012345'])
    t.ok(isIdentifying(text), text)
  for (const text of ['262143328850123\n', '306000000 408000000 510000000', 'nvidia,p3701-0005\0', '12:34:56']) {
    t.notOk(isIdentifying(text), text)
  }
})
