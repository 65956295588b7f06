import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'mqtt'
import t, { type Test } from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { type PowerReading, unknownConditions, unknownPower } from '../src/board/reading.ts'
import { createBoardSource } from '../src/power/board-source.ts'
import { createConditions } from '../src/power/conditions.ts'
import { discoverPower } from '../src/power/discover.ts'
import { openValueFiles } from '../src/power/files.ts'
import { createHwmon, createHwmonSource, createIio } from '../src/power/hwmon.ts'
import { createNvidiaSmi, parseCard } from '../src/power/nvidia-smi.ts'
import { counted, createRapl } from '../src/power/rapl.ts'
import { createReplay } from '../src/power/replay.ts'
import type { Instrument } from '../src/power/source.ts'
import { createTegrastats } from '../src/power/tegrastats.ts'
import { parseTrace } from '../src/power/trace.ts'
import { startBroker } from '../src/telemetry/broker.ts'
import { createMeter, parseMeterAddress, wattsIn } from '../src/telemetry/meter.ts'
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

/** A place where one instrument lives, and what can happen to it. */
interface World {
  readonly instrument: Pick<Instrument, 'name' | 'staleAfterMs' | 'close'> & {
    read(atMs: number): Promise<PowerReading>
  }
  readonly rule: string
  /** Monotonic milliseconds the instrument is asked with; each call may let time pass. */
  readonly clock: () => number
  /** Makes the sensor good: at first it is absent. */
  readonly heal: () => void | Promise<void>
  /** Bad bytes where the value was. */
  readonly spoil: () => void | Promise<void>
  readonly vanish: () => void | Promise<void>
  /** Milliseconds after which a value that does not come anew is unknown; 0 where each reading asks the sensor itself. */
  readonly lateMs: number
  readonly end?: () => unknown
}

/** Time that passes with each look, so that nothing is waited for. */
function quick(): () => number {
  let atMs = 0
  return () => {
    atMs += 1100
    return atMs
  }
}

function treeWorld(
  t: Test,
  make: (root: string) => {
    files: Record<string, string>
    instrument: World['instrument']
    rule: string
    end?: () => unknown
  },
): World {
  const root = t.testdir()
  const { files, instrument, rule, end } = make(root)
  return {
    instrument,
    rule,
    clock: quick(),
    lateMs: 0,
    heal: () => putAll(root, files),
    spoil: () =>
      putAll(
        root,
        Object.fromEntries(
          Object.keys(files).map((path) => [path, /label|name|type/.test(path) ? files[path] : 'garbage\n']),
        ),
      ),
    vanish: () => {
      for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true })
    },
    end,
  }
}

function putAll(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    // As a careful plant does it: another file takes the place of the old one.
    writeFileSync(join(root, `${path}.new`), text)
    renameSync(join(root, `${path}.new`), join(root, path))
  }
}

/** A child that prints the content of a file again and again, or nothing while it is empty. */
function childWorld(t: Test, good: string, rule: string, make: (command: string) => Instrument): World {
  const dir = t.testdir({
    'print.mjs': `import { readFileSync } from 'node:fs'
      setInterval(() => { const text = readFileSync(process.argv[2], 'utf8'); if (text) console.log(text) }, 10)`,
  })
  const file = join(dir, 'line')
  return {
    instrument: make(`${process.execPath} ${dir}/print.mjs ${file}`),
    rule,
    clock: now,
    lateMs: 60_000,
    heal: () => writeFileSync(file, good),
    spoil: () => writeFileSync(file, 'ga% @ rb/age'),
    vanish: () => rmSync(file),
  }
}

const hwmonFiles: Record<string, string> = {
  'sys/class/hwmon/hwmon2/name': 'ina3221\n',
  ...Object.fromEntries(
    ['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0'].flatMap((label, index) => [
      [`sys/class/hwmon/hwmon2/in${index + 1}_label`, `${label}\n`],
      [`sys/class/hwmon/hwmon2/in${index + 1}_input`, '5000\n'],
      [`sys/class/hwmon/hwmon2/curr${index + 1}_input`, '2000\n'],
    ]),
  ),
}
const agxLine =
  'RAM 2448/62840MB (lfb 2x4MB) CPU [0%@2201,off] GR3D_FREQ 0% cpu@42C tj@41C VDD_GPU_SOC 4940mW/1mW VDD_CPU_CV 988mW/1mW VIN_SYS_5V0 4442mW/1mW'
const hasty = { first: 10, most: 40 }

const worlds: Readonly<Record<string, (t: Test) => World | Promise<World>>> = {
  hwmon: (t) =>
    treeWorld(t, (root) => {
      const files = openValueFiles()
      const end = () => files.close()
      return { files: hwmonFiles, rule: 'sum3', instrument: createHwmon(agx, root, files), end }
    }),
  'ina238 of Thor': (t) =>
    treeWorld(t, (root) => {
      const files = openValueFiles()
      const chip = 'sys/class/hwmon/hwmon5'
      const tree = { [`${chip}/name`]: 'ina238\n', [`${chip}/in1_input`]: '19900\n', [`${chip}/curr1_input`]: '850\n' }
      const instrument = createHwmon(findBoard('agx-thor'), root, files)
      return { files: tree, rule: 'VIN', instrument, end: () => files.close() }
    }),
  'iio of R32': (t) =>
    treeWorld(t, (root) => {
      const files = openValueFiles()
      const device = 'sys/bus/i2c/drivers/ina3221x/7-0040/iio:device0'
      const tree = { [`${device}/rail_name_0`]: 'VDD_IN\n', [`${device}/in_power0_input`]: '4067\n' }
      const instrument = createIio(findBoard('xavier-nx'), root, files)
      return { files: tree, rule: 'VDD_IN', instrument, end: () => files.close() }
    }),
  rapl: (t) => {
    const files = openValueFiles()
    let energy = 262_143_000_000
    const zone = 'sys/class/powercap/intel-rapl:0'
    const at = quick()
    const root = t.testdir()
    const put = (text: string) =>
      putAll(root, {
        [`${zone}/name`]: 'package-0\n',
        [`${zone}/max_energy_range_uj`]: '262143328850\n',
        [`${zone}/energy_uj`]: text,
      })
    let good = false
    return {
      instrument: createRapl(root, files),
      rule: 'rapl_package',
      // Eleven watts, over the end of the counter's range at first.
      clock: () => {
        energy = (energy + 12_100_000) % 262_143_328_850
        if (good) put(`${energy}\n`)
        return at()
      },
      lateMs: 0,
      heal: () => {
        good = true
      },
      spoil: () => {
        good = false
        put('garbage\n')
      },
      vanish: () => {
        good = false
        rmSync(join(root, 'sys'), { recursive: true })
      },
      end: () => files.close(),
    }
  },
  tegrastats: (t) =>
    childWorld(t, agxLine, 'sum3', (command) => createTegrastats(agx, { command, now, backoffMs: hasty })),
  'nvidia-smi': (t) =>
    childWorld(t, '0, 61.25, 47\n1, 20.00, 33', 'gpu_board', (command) =>
      createNvidiaSmi({ command, now, backoffMs: hasty }),
    ),
  meter: async () => {
    const broker = await startBroker({ port: 0 })
    const plug = connect(broker.url)
    let text = ''
    const timer = setInterval(() => text && plug.publish('plug/1/status', text), 10)
    const address = parseMeterAddress(`${broker.url}/plug/1/status#switch.apower`)
    return {
      instrument: createMeter({ address, now, reconnectMs: 20 }),
      rule: 'external_meter',
      clock: now,
      lateMs: 60_000,
      heal: () => {
        text = '{"switch":{"apower":61.5}}'
      },
      spoil: () => {
        text = '{"switch":null}'
      },
      vanish: () => {
        text = ''
      },
      end: async () => {
        clearInterval(timer)
        await plug.endAsync(true)
        await broker.close()
      },
    }
  },
  replay: (t) => {
    const file = join(t.testdir(), 'trace.jsonl')
    const row = (at_ms: number) =>
      JSON.stringify({ at_ms, rail_watts: { VDD_GPU_SOC: 5, VDD_CPU_CV: 1, VIN_SYS_5V0: 4 } })
    let instrument = createReplay(agx, { file, speed: 1 })
    return {
      // What was loaded once is played; another file is another instrument.
      instrument: {
        name: 'replay',
        staleAfterMs: 500,
        read: (atMs) => instrument.read(atMs),
        close: () => instrument.close(),
      },
      rule: 'sum3',
      clock: quick(),
      lateMs: 0,
      heal: () => {
        writeFileSync(file, [...Array(60).keys()].map((index) => row(index * 1000)).join('\n'))
        instrument = createReplay(agx, { file, speed: 1 })
      },
      spoil: () => {
        writeFileSync(file, '{"garbage\n[]\n')
        instrument = createReplay(agx, { file, speed: 1 })
      },
      vanish: () => {
        rmSync(file)
        instrument = createReplay(agx, { file, speed: 1 })
      },
    }
  },
  'all of a board': (t) =>
    treeWorld(t, (root) => ({
      files: hwmonFiles,
      rule: 'sum3',
      instrument: discoverPower(agx, { root, tegrastats: null, now }),
    })),
  'the twin’s tree': (t) => {
    const root = join(t.testdir(), 'root')
    const at = quick()
    const twin = createTwin({ board: agx, root, now: () => 0 })
    return {
      instrument: createHwmonSource(agx, root),
      rule: 'sum3',
      clock: at,
      lateMs: 0,
      heal: () => twin.refresh(at()),
      spoil: () => putAll(root, { 'sys/class/hwmon/hwmon1/curr1_input': '-\n' }),
      vanish: () => renameSync(root, `${root}.gone`),
      end: () => twin.stop(),
    }
  },
}

const handles = () => readdirSync('/proc/self/fd').length
/** Process ids of our children that live. */
const children = () => readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').trim()

for (const [name, make] of Object.entries(worlds)) {
  t.test(`what every instrument owes: ${name}`, async (t) => {
    const before = handles()
    const world = await make(t)
    const { instrument, clock, rule, lateMs } = world
    const unknown = async (why: string) => {
      const reading = await until(
        () => instrument.read(clock() + lateMs),
        ({ totalWatts }) => totalWatts === null,
      )
      t.ok(reading.totalWattsReason, `${why}: ${reading.totalWattsReason}`)
      t.equal(reading.source, instrument.name)
      return reading
    }
    const known = async (after: number) => {
      await world.heal()
      const reading = await until(
        () => instrument.read(clock()),
        ({ totalWatts, atMs }) => totalWatts !== null && atMs > after,
      )
      t.ok(Number(reading.totalWatts) > 0 && Number(reading.totalWatts) < 1000, `${reading.totalWatts} W`)
      t.match(reading, { totalWattsReason: null, totalRule: rule, source: instrument.name })
      t.ok(instrument.staleAfterMs >= 500)
      return reading.atMs
    }
    if (name !== 'the twin’s tree') await unknown('absent')
    let seenAtMs = await known(Number.NEGATIVE_INFINITY)
    await world.spoil()
    await unknown('spoiled')
    if (name !== 'the twin’s tree') {
      seenAtMs = await known(seenAtMs)
      await world.vanish()
      await unknown('vanished')
      await known(seenAtMs)
    } else {
      await world.vanish()
      await unknown('vanished')
    }
    await instrument.close()
    await instrument.close()
    await world.end?.()
    await until(
      async () => handles(),
      (count) => count <= before,
    )
    t.notOk(children(), 'no child is left, and no file or socket')
  })
}

t.test('hwmon on a recorded tree', async (t) => {
  const root = t.testdir(recorded)
  const reading = await createHwmonSource(agx, root).read(5)
  t.equal(reading.atMs, 5)
  t.ok(Math.abs((reading.totalWatts ?? 0) - (4.94 + 0.988 + 4.44224)) < 1e-9, 'three rails, without VDDQ')
  t.strictSame(Object.keys(reading.railWatts).sort(), ['VDDQ_VDD2_1V8AO', 'VDD_CPU_CV', 'VDD_GPU_SOC', 'VIN_SYS_5V0'])
  t.equal(reading.tjCelsius, 42, 'the hottest zone; those that are off or cannot be read are absent')
  t.match(reading, { throttling: null, throttlingReason: 'no cooling device was found' })
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

t.test('a pipe, a folder or an endless line in place of a sensor stops nothing', async (t) => {
  const root = t.testdir()
  putAll(root, hwmonFiles)
  const source = createHwmonSource(agx, root)
  t.type((await source.read(0)).totalWatts, 'number')
  const file = join(root, 'sys/class/hwmon/hwmon2/curr1_input')
  rmSync(file)
  execFileSync('mkfifo', [file])
  t.match(await source.read(1100), { totalWatts: null, totalWattsReason: 'no reading of VDD_GPU_SOC' })
  rmSync(file)
  mkdirSync(file)
  t.match(await source.read(2200), { totalWatts: null })
  rmSync(file, { recursive: true })
  writeFileSync(file, '9'.repeat(100))
  t.match(await source.read(3300), { totalWatts: null }, 'a number too long to be one')
  writeFileSync(file, '250')
  t.type((await source.read(4400)).totalWatts, 'number', 'an end of line is not needed')
  await source.close()
})

t.test('tegrastats: the instantaneous values, from a child that is started again when it ends or hangs', async (t) => {
  const dir = t.testdir({
    'emit.mjs': `import { existsSync, writeFileSync } from 'node:fs'
      console.log(${JSON.stringify(agxLine)} + ' RUN ' + process.pid)
      if (process.argv[2] === 'hang') { process.on('SIGTERM', () => {}); setInterval(() => {}, 1000) }`,
    'broken.mjs': 'process.exit(3)',
  })
  const run = (args: string, more: object = {}) =>
    createTegrastats(agx, { command: `${process.execPath} ${dir}/${args}`, now, backoffMs: hasty, ...more })
  for (const args of ['emit.mjs', 'emit.mjs hang --interval 50']) {
    const source = run(args, { hungMs: 200 })
    const reading = await until(
      () => source.read(now()),
      (value) => value.totalWatts !== null,
    )
    t.ok(Math.abs((reading.totalWatts ?? 0) - 10.37) < 1e-9, 'not the averages')
    t.match(reading, { zoneCelsius: { cpu: 42, tj: 41 }, memory: { largestBlocks: 2, totalBytes: 62_840 * 1024 ** 2 } })
    await until(
      () => source.read(now()),
      (value) => value.atMs > reading.atMs,
    )
    t.match(await source.read(now() + 60_000), { totalWatts: null, totalWattsReason: /last line \d+ ms ago/ })
    await source.close()
    t.notOk(children(), `${args}: the child is gone`)
  }
  const broken = run('broken.mjs')
  await until(
    () => broken.read(now()),
    (value) => /exit code 3/.test(value.totalWattsReason ?? ''),
  )
  await broken.close()
  for (const command of ['tegrastats --stop', 'tegrastats --interval 100 --start --logfile x']) {
    const refused = createTegrastats(agx, { command, now })
    t.match(await refused.read(0), { totalWatts: null, totalWattsReason: /was not started/ })
    await refused.close()
  }
})

t.test('conditions: trips are read, throttling and over-current counted, memory known', async (t) => {
  const zone = (index: number, files: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(files).map(([name, text]) => [`sys/class/thermal/thermal_zone${index}/${name}`, text]),
    )
  const cooler = (index: number, type: string, state: string) => ({
    [`sys/class/thermal/cooling_device${index}/type`]: type,
    [`sys/class/thermal/cooling_device${index}/cur_state`]: state,
  })
  const root = t.testdir()
  const files = {
    ...zone(0, {
      type: 'cpu-thermal\n',
      temp: '88000\n',
      trip_point_0_type: 'active\n',
      trip_point_0_temp: '50000\n',
      trip_point_1_type: 'passive\n',
      trip_point_1_temp: '95000\n',
      trip_point_2_type: 'critical\n',
      trip_point_2_temp: '104500\n',
      trip_point_3_type: 'passive\n',
      trip_point_3_temp: '-256000\n',
    }),
    ...zone(1, { type: 'gpu-thermal\n', temp: '90000\n', trip_point_0_type: 'hot\n', trip_point_0_temp: '99000\n' }),
    ...zone(2, { type: 'cv0-thermal\n', temp: '-256000\n' }),
    ...zone(3, { type: 'PMIC-Die\n', temp: '100000\n' }),
    ...cooler(0, 'pwm-fan\n', '3\n'),
    ...cooler(1, 'devfreq-17000000.gpu\n', '0\n'),
    'sys/class/hwmon/hwmon9/name': 'soctherm_oc\n',
    'sys/class/hwmon/hwmon9/oc1_event_cnt': '0\n',
    'sys/class/hwmon/hwmon9/oc3_event_cnt': '27\n',
    'proc/meminfo': 'MemTotal:       64348160 kB\nMemFree: 5 kB\nMemAvailable:   32174080 kB\n',
    'proc/buddyinfo': 'Node 0, zone      DMA      1      0      2 \nNode 0, zone   Normal    216     55      4 \n',
  }
  putAll(root, files)
  const values = openValueFiles()
  const conditions = createConditions(agx, root, values)
  const first = await conditions.read(0)
  t.match(first, {
    tjCelsius: 90,
    zoneCelsius: { 'cpu-thermal': 88, 'gpu-thermal': 90 },
    trips: { throttleCelsius: 95, shutdownCelsius: 104.5, from: 'read' },
    throttleMarginKelvin: 7,
    overCurrentEvents: { oc1: 0, oc3: 27 },
    throttling: [],
    memory: {
      totalBytes: 64_348_160 * 1024,
      availableBytes: 32_174_080 * 1024,
      largestBlockBytes: 16_384,
      largestBlocks: 6,
    },
  })
  t.strictSame(Object.keys(first.zoneCelsius), ['cpu-thermal', 'gpu-thermal'], 'neither an offline nor a made-up zone')
  putAll(root, { ...cooler(1, 'devfreq-17000000.gpu\n', '2\n'), 'sys/class/hwmon/hwmon9/oc3_event_cnt': '28\n' })
  t.match(await conditions.read(50), { overCurrentEvents: { oc3: 28 } }, 'counters with every reading')
  t.strictSame((await conditions.read(1000)).throttling, ['devfreq-17000000.gpu'], 'the fan is no throttling')
  values.close()

  const bare = await createConditions(agx, join(root, 'nothing'), values).read(0)
  t.match(bare.trips, { throttleCelsius: 99, from: 'assumed' }, 'without zones the row of the table')
  for (const key of ['tjCelsius', 'throttleMarginKelvin', 'overCurrentEvents', 'throttling', 'memory'] as const) {
    t.equal(bare[key], null)
    t.ok(bare[`${key}Reason`], `${key}: ${bare[`${key}Reason`]}`)
  }
})

t.test('a source takes the next instrument while the first is blind, and goes back', async (t) => {
  let sees = true
  const closed: string[] = []
  const stub = (name: string, known: () => boolean): Instrument => ({
    name,
    staleAfterMs: 500,
    read: async (atMs) =>
      known()
        ? { atMs, source: name, railWatts: {}, totalWatts: 9, totalWattsReason: null, totalRule: 'r' }
        : unknownPower(agx, atMs, name, 'blind'),
    close: async () => void closed.push(name),
  })
  const source = createBoardSource(agx, {
    conditions: { read: async () => unknownConditions(agx, 'none') },
    instruments: [{ open: () => stub('good', () => sees) }, { open: () => stub('spare', () => true) }],
  })
  t.equal((await source.read(0)).source, 'good')
  sees = false
  t.match(await source.read(500), { source: 'good', totalWatts: null }, 'a moment is waited')
  t.equal((await source.read(1500)).source, 'spare')
  sees = true
  t.equal((await source.read(2000)).source, 'good')
  t.strictSame(closed, ['spare'])
  await source.close()
  t.strictSame(closed, ['spare', 'good'])
})

t.test('trace: what was recorded comes back at its pace, and a tegrastats log too', async (t) => {
  const rows = [0, 100, 200].map((at_ms) => ({
    at_ms,
    rail_watts: { VDD_IN: 5 + at_ms / 100 },
    zone_celsius: { tj: 40 },
  }))
  const file = join(t.testdir(), 'trace.jsonl')
  writeFileSync(file, ['{"schema":"deapd-trace/1"}', ...rows.map((row) => JSON.stringify(row))].join('\n'))
  const nano = findBoard('orin-nano-8gb')
  const replay = createReplay(nano, { file, speed: 2 })
  t.match(await replay.read(1000), { atMs: 1000, totalWatts: 5, zoneCelsius: { tj: 40 } })
  t.match(await replay.read(1060), { atMs: 1050, totalWatts: 6 }, 'twice as fast')
  t.match(await replay.read(1101), { atMs: 1100, totalWatts: 7 })
  t.match(await replay.read(9000), { totalWatts: null, totalWattsReason: /the trace has ended/ })
  const log = ['VDD_IN 1mW/1mW', 'junk', 'VDD_IN 2mW/1mW'].join('\n')
  t.strictSame(
    parseTrace(log).map(({ atMs }) => atMs),
    [0, 1000],
  )
  const dated = [
    '01-01-2026 00:00:59 VDD_IN 1mW/1mW',
    '01-01-2026 00:01:00 VDD_IN 2mW/1mW',
    '01-01-2026 00:01:00 VDD_IN 3mW/1mW',
  ]
  t.strictSame(
    parseTrace(dated.join('\n')).map(({ atMs }) => atMs),
    [0, 1000, 1500],
    'two lines in one second',
  )
})

t.test('hosts: RAPL counters wrap, cards answer N/A, meters say odd things', async (t) => {
  t.equal(counted(10, 30, null), 20)
  t.equal(counted(90, 5, 100), 15)
  t.equal(counted(90, 5, null), null, 'a counter that began again says nothing')
  t.strictSame(parseCard('0, 61.25, 47'), { index: 0, watts: 61.25, celsius: 47 })
  t.strictSame(parseCard('1, [N/A], [Not Supported]'), { index: 1, watts: null, celsius: null })
  for (const text of ['', 'No devices were found', '0, 1', '-1, 2, 3']) t.equal(parseCard(text), undefined)
  t.equal(wattsIn('23.5', []), 23.5)
  t.equal(wattsIn('{"a":{"b":["x",{"c":"7.25"}]}}', ['a', 'b', '1', 'c']), 7.25)
  for (const text of ['-1', 'NaN', '"x"', '{}', 'null', '1e99', '[', '{"__proto__":5}'])
    t.equal(wattsIn(text, []), undefined)
  t.equal(wattsIn('{"a":1}', ['toString']), undefined)
  t.strictSame(parseMeterAddress('mqtt://u:p@broker:1884/shellies/plug%201/status#emeters.0.power'), {
    url: 'mqtt://u:p@broker:1884',
    topic: 'shellies/plug 1/status',
    path: ['emeters', '0', 'power'],
  })
  for (const text of ['x', 'http://a/b', 'mqtt://broker', 'mqtt://broker/a/+/b']) {
    t.throws(() => parseMeterAddress(text), { code: 'setting_invalid' })
  }
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
  await none.close()
  for (const sensor of ['toaster', 'tegrastats', 'meter', 'replay:']) {
    t.throws(() => discoverPower(agx, { root, tegrastats: null, now, sensor }), { code: 'setting_invalid' }, sensor)
  }
})

async function until<T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read()
    if (done(value)) return value
    await sleep(5)
  }
}
