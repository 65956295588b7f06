import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { discoverPower } from '../src/power/discover.ts'
import { createHwmonSource } from '../src/power/hwmon.ts'
import type { Instrument, PowerSource } from '../src/power/source.ts'
import { createTegrastats } from '../src/power/tegrastats.ts'
import { createTwin } from '../src/twin/board.ts'

const agx = findBoard('agx-orin-64gb')
const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** A tree as an AGX Orin on R36 has it: values of the corpus line agx-orin-64gb-r36-nosudo, hwmon numbers out of order. */
const recorded = {
  sys: {
    class: {
      hwmon: {
        hwmon0: { name: 'pwmfan\n' },
        hwmon4: {
          name: 'ina3221\n',
          in1_label: 'VDD_GPU_SOC\n',
          in1_input: '19760\n',
          curr1_input: '250\n',
          in2_label: 'VDD_CPU_CV\n',
          in2_input: '19760\n',
          curr2_input: '50\n',
          in3_label: 'VIN_SYS_5V0\n',
          in3_input: '5048\n',
          curr3_input: '880\n',
          in7_label: 'sum of shunt voltages\n',
        },
        hwmon3: {
          name: 'ina3221\n',
          in1_label: 'NC\n',
          in2_label: 'VDDQ_VDD2_1V8AO\n',
          in2_input: '5048\n',
          curr2_input: '216\n',
          in3_label: 'NC\n',
        },
      },
      thermal: {
        thermal_zone0: { type: 'cpu-thermal\n', temp: '42000\n' },
        thermal_zone1: { type: 'gpu-thermal\n', temp: '-256000\n' },
        thermal_zone2: { type: 'cv0-thermal\n' },
        thermal_zone8: { type: 'tj-thermal\n', temp: '41900\n' },
      },
    },
  },
}

/** What every source owes, whatever it reads from. */
async function contract(t: Test, source: PowerSource | Instrument, known: boolean): Promise<void> {
  const reading = await source.read(now())
  t.equal(reading.source, source.name)
  t.equal(reading.totalRule, 'sum3')
  t.ok(source.staleAfterMs >= 500)
  t.equal(reading.totalWatts === null, reading.totalWattsReason !== null, 'a reason exactly when unknown')
  if ('tjCelsius' in reading) t.equal(reading.tjCelsius === null, reading.tjCelsiusReason !== null)
  t.equal(reading.totalWatts !== null, known)
  if (reading.totalWatts !== null) t.ok(reading.totalWatts > 0)
  await source.close()
  await source.close()
}

t.test('hwmon on a recorded tree', async (t) => {
  const root = t.testdir(recorded)
  const reading = await createHwmonSource(agx, root).read(5)
  t.equal(reading.atMs, 5)
  t.ok(Math.abs((reading.totalWatts ?? 0) - (4.94 + 0.988 + 4.44224)) < 1e-9, 'three rails, without VDDQ')
  t.strictSame(Object.keys(reading.railWatts).sort(), ['VDDQ_VDD2_1V8AO', 'VDD_CPU_CV', 'VDD_GPU_SOC', 'VIN_SYS_5V0'])
  t.equal(reading.tjCelsius, 42, 'the hottest zone; those that are off or cannot be read are absent')
  await contract(t, createHwmonSource(agx, root), true)
})

t.test('what is missing is unknown with its name, and comes back', async (t) => {
  const root = t.testdir(recorded)
  const source = createHwmonSource(agx, root)
  await source.read(0)
  const file = join(root, 'sys/class/hwmon/hwmon4/curr1_input')
  for (const damage of ['', 'garbage\n', '-\n']) {
    writeFileSync(file, damage)
    t.match(await source.read(10), { totalWatts: null, totalWattsReason: 'no reading of VDD_GPU_SOC' })
  }
  rmSync(file)
  t.match(await source.read(20), { totalWatts: null })
  writeFileSync(file, '100\n')
  t.type((await source.read(30)).totalWatts, 'number')
  rmSync(join(root, 'sys'), { recursive: true })
  t.match(await source.read(500), {
    totalWatts: null,
    totalWattsReason: /^no reading of VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0$/,
    tjCelsius: null,
  })
})

t.test('hwmon on the tree of the twin', async (t) => {
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board: agx, root, now: () => 0 })
  twin.refresh(45)
  const reading = await createHwmonSource(agx, root).read(45)
  t.ok(Math.abs((reading.totalWatts ?? 0) - agx.model.idleWatts) < 0.6, `${reading.totalWatts} W idle`)
  await contract(t, createHwmonSource(agx, root), true)
  twin.stop()
})

t.test('tegrastats: a child that is restarted when it ends and ended by its own id', async (t) => {
  const line =
    'RAM 2448/62840MB (lfb 2x4MB) CPU [0%@2201,off] GR3D_FREQ 0% cpu@42C tj@41C VDD_GPU_SOC 4940mW/1mW VDD_CPU_CV 988mW/1mW VIN_SYS_5V0 4442mW/1mW'
  const dir = t.testdir({
    'emit.mjs': `console.log(process.argv[2] + ' RUN ' + process.pid)`,
    'broken.mjs': 'process.exit(3)',
  })
  const command = `${process.execPath} ${dir}/emit.mjs ${line.replaceAll(' ', '\\ ')}`
  const source = createTegrastats(agx, { command, now, backoffMs: { first: 10, most: 40 } })
  const reading = await until(
    () => source.read(now()),
    (value) => value.totalWatts !== null,
  )
  t.ok(Math.abs((reading.totalWatts ?? 0) - 10.37) < 1e-9, 'instantaneous watts, not the averages')
  t.strictSame(reading.zoneCelsius, { cpu: 42, tj: 41 })
  const again = await until(
    () => source.read(now()),
    (value) => value.atMs > reading.atMs,
  )
  t.ok(again.atMs > reading.atMs, 'a later line: the child was started again')
  t.match(await source.read(now() + 60_000), { totalWatts: null, totalWattsReason: /ended: last line \d+ ms ago/ })
  await contract(t, source, true)

  const broken = createTegrastats(agx, { command: `${process.execPath} ${dir}/broken.mjs`, now })
  const failed = await until(
    () => broken.read(now()),
    (value) => /exit code 3/.test(value.totalWattsReason ?? ''),
  )
  t.equal(failed.totalWatts, null)
  await contract(t, broken, false)
  const absent = createTegrastats(agx, { command: '/nowhere/tegrastats', now })
  await until(
    () => absent.read(now()),
    (value) => /ENOENT|failed/.test(value.totalWattsReason ?? ''),
  )
  await contract(t, absent, false)
})

t.test('discovery: hwmon, else tegrastats, else blind with a reason', async (t) => {
  const root = t.testdir(recorded)
  const hwmon = discoverPower(agx, { root, tegrastats: '/nowhere/tegrastats', now })
  t.match(await hwmon.read(0), { source: 'hwmon', totalWattsReason: null })
  await hwmon.close()
  const empty = join(root, 'empty')
  const tegrastats = discoverPower(agx, { root: empty, tegrastats: '/nowhere/tegrastats', now })
  t.match(await tegrastats.read(0), {
    totalWatts: null,
    totalWattsReason: /hwmon: no power monitor.*tegrastats: no line/,
  })
  await tegrastats.close()
  const none = discoverPower(agx, { root: empty, tegrastats: null, now })
  t.match(await none.read(0), { totalWatts: null, totalWattsReason: /hwmon: no power monitor.*iio: no power monitor/ })
  await contract(t, none, false)
})

async function until<T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read()
    if (done(value)) return value
    await sleep(5)
  }
}
