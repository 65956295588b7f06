import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mock } from 'node:test'
import fc from 'fast-check'
import t from 'tap'
import { boards, findBoard } from '../src/board/boards/index.ts'
import { detectBoard } from '../src/board/detect.ts'
import { cpuWatts, leakWatts, runWork, stepWork, type Work, workSeconds, workWatts } from '../src/board/work.ts'
import { openClocks } from '../src/clocks/capped.ts'
import { ranBetween, type TimedWork, worksAfter } from '../src/energy/busy.ts'
import { paceSeconds } from '../src/engine/scheduling/pace.ts'
import { initialState } from '../src/governor/initial.ts'
import { step } from '../src/governor/step.ts'
import { createHwmonSource } from '../src/power/hwmon.ts'
import { parseTegrastats } from '../src/power/tegrastats-parse.ts'
import { asIfCost, paceOf } from '../src/twin/as-if.ts'
import { createTwin } from '../src/twin/board.ts'
import { injectFaults } from '../src/twin/fault-file.ts'
import { type FaultKind, faultKinds, faultOf } from '../src/twin/faults.ts'
import { total } from '../src/twin/parts.ts'
import { perturbed } from '../src/twin/perturb.ts'
import { addPlantStep, advance, type Conditions, initialPlant, tjCelsius } from '../src/twin/plant.ts'
import { publishedRows } from '../src/twin/published.ts'
import { sampledWatts } from '../src/twin/sensors.ts'
import { energyBetween } from '../src/twin/since.ts'
import { openTegrastats } from '../src/twin/tegrastats-tree.ts'
import { groupErrors } from '../src/twin/validate.ts'
import { createVirtualBoard, type VirtualBoard } from '../src/twin/virtual.ts'

const board = findBoard('agx-orin-64gb')
const { model } = board
const top = board.gpu.pointsHz[board.gpu.pointsHz.length - 1]
const full: Conditions = { gpuHz: top, cpuHz: model.cpu.maxHz, ambientCelsius: 25, hostCores: 0 }
/** Without leakage, whose course depends a little on how time is cut. */
const even = { ...model, leak: { ...model.leak, watts: 0 } }
const mine = [{ requestId: 'a', share: 1 }]
const decode: Work = { phase: 'decode', bytes: 3.407e9, flops: 13.2e9 }

t.test('energy is exact however the time is cut and whenever steps are reported', async (t) => {
  const steps = fc.array(
    fc.record({
      parts: fc.constantFrom(
        [{ requestId: 'a', share: 1 }],
        [
          { requestId: 'a', share: 0.25 },
          { requestId: 'b', share: 0.75 },
        ],
      ),
      startedAtMs: fc.integer({ min: 0, max: 2000 }),
      seconds: fc.double({ min: 0.001, max: 1, noNaN: true }),
      work: fc.constant(decode),
      reportedAtMs: fc.integer({ min: 0, max: 3000 }),
    }),
    { maxLength: 12 },
  )
  const cuts = fc.array(fc.integer({ min: 1, max: 3500 }), { maxLength: 20 })
  const property = fc.property(steps, cuts, (steps, cuts) => {
    // Reported late, but never after the end of the run; the reference knows all from the start.
    const known = steps.reduce(addPlantStep, initialPlant(0, 25))
    const once = advance(known, even, 4000, full)
    let state = initialPlant(0, 25)
    let reported = 0
    const order = [...steps].sort((a, b) => a.reportedAtMs - b.reportedAtMs)
    const overlapping = steps.some((a) =>
      steps.some(
        (b) =>
          a !== b &&
          a.startedAtMs < b.startedAtMs + b.seconds * 1000 &&
          b.startedAtMs < a.startedAtMs + a.seconds * 1000,
      ),
    )
    for (const atMs of [...cuts, ...steps.map((step) => step.reportedAtMs), 4000].sort((a, b) => a - b)) {
      while (reported < order.length && order[reported].reportedAtMs <= atMs)
        state = addPlantStep(state, order[reported++])
      state = advance(state, even, atMs, full)
    }
    const booked = Object.values(state.requests).reduce((sum, use) => sum + use.joules, 0)
    const near = (a: number, b: number) => Math.abs(a - b) < 1e-6 * Math.max(1, Math.abs(b))
    if (!near(state.staticJoules, 4 * model.idleWatts)) throw new Error('static joules')
    if (!near(booked, total(state.partJoules))) throw new Error('requests do not add up to the dynamic joules')
    if (!near(state.joules, state.staticJoules + booked)) throw new Error('parts do not add up')
    // Steps of one engine do not overlap; where they do, a late report cannot share the GPU after the fact.
    return overlapping || near(state.joules, once.joules)
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 5, numRuns: 200 }))
})

t.test('a step at its own pace draws what the model says', async (t) => {
  const seconds = workSeconds(model, top, decode)
  const step = { parts: mine, startedAtMs: 0, seconds, work: decode }
  const state = advance(addPlantStep(initialPlant(0, 25), step), even, 1000, full)
  t.ok(Math.abs(total(state.partJoules) - workWatts(model, top, decode) * seconds) < 1e-9)
  t.strictSame(state.steps, [], 'a finished step is dropped')
  t.ok(Math.abs(state.requests.a.bytes - decode.bytes) < 1)
  const slow = advance(addPlantStep(initialPlant(0, 25), { ...step, seconds: 10 * seconds }), even, 1000, full)
  const waiting = 9 * seconds * (model.activeWatts + cpuWatts(model, model.cpu.maxHz, model.cpu.busyCores))
  t.ok(Math.abs(total(slow.partJoules) - waiting - total(state.partJoules)) < 1e-9, 'waiting is cheap')
})

t.test('a slower CPU draws less and makes steps longer', async (t) => {
  const slow = model.cpu.maxHz / 3
  t.ok(workWatts(model, top, decode, slow) < workWatts(model, top, decode) - 1)
  t.ok(workSeconds(model, top, decode, slow) > workSeconds(model, top, decode) + model.cpu.hostSeconds)
  const busy = advance(initialPlant(0, 25), even, 1000, { ...full, hostCores: 4 })
  t.ok(Math.abs(busy.partJoules.cpu - cpuWatts(model, model.cpu.maxHz, 4)) < 1e-9, 'work of others is on the CPU rail')
})

t.test('heat: two nodes that settle at their resistances, leakage and fan with them', async (t) => {
  const idle = advance(initialPlant(0, 25), even, 3_600_000, full)
  const expected = 25 + (model.thermal.dieKelvinPerWatt + model.thermal.sinkKelvinPerWatt) * model.idleWatts
  t.ok(Math.abs(tjCelsius(idle) - expected) < 1e-6)
  const hot = advance(initialPlant(0, 75), model, 3_600_000, { ...full, ambientCelsius: 75 })
  t.ok(hot.joules > idle.joules + 1000, 'a hot die leaks')
  t.ok(hot.fanJoules > 5 * idle.fanJoules, 'and its fan is faster')
  t.ok(tjCelsius(hot) - 75 < tjCelsius(idle) - 25, 'which cools it better')
})

/** A board that decodes without a pause, 45 ms at a time; calls back after every refresh. */
function decoding(virtual: VirtualBoard, untilMs: number, each: (atMs: number) => void = () => undefined): void {
  let freeAtMs = virtual.state().atMs
  for (let atMs = freeAtMs + 45; atMs <= untilMs; atMs += 45) {
    while (freeAtMs <= atMs) {
      const seconds = workSeconds(virtual.board().model, virtual.gpuHz(), decode, virtual.cpuHz())
      virtual.addStep({ parts: mine, startedAtMs: freeAtMs, seconds, work: decode })
      freeAtMs += seconds * 1000
    }
    virtual.run(atMs)
    each(atMs)
  }
}

const shownWatts = (virtual: VirtualBoard): number => {
  const watts = sampledWatts(virtual.sensed().rails ?? [])
  return board.total.rails.reduce((sum, rail) => sum + watts[rail], 0)
}

t.test('same seed, same samples; plant error moves every coefficient within its bound', async (t) => {
  const trace = (seed: number) => {
    const virtual = createVirtualBoard({ board, seed, plantError: 0.3 })
    const rows: number[] = []
    decoding(virtual, 2000, () => rows.push(shownWatts(virtual)))
    return rows
  }
  t.strictSame(trace(4), trace(4))
  t.not(trace(4).join(), trace(5).join())
  for (let seed = 1; seed < 50; seed += 1) {
    const really = perturbed(board, 0.3, seed).model
    for (const name of ['idleWatts', 'wattsPerSmGhz', 'decodeActivity', 'memoryBytesPerSecond'] as const) {
      const ratio = really[name] / model[name]
      t.ok(ratio >= 0.7 && ratio <= 1.3 && ratio !== 1, `${name} ${ratio}`)
    }
  }
})

t.test('every fault shows between its start and its end, and not before or after', async (t) => {
  const seen: Record<string, (virtual: VirtualBoard) => boolean> = {
    loss: (virtual) => virtual.sensed().rails === null,
    stuck: (virtual) => virtual.sensed().rails !== null && Math.abs(shownWatts(virtual) - virtual.watts()) > 5,
    spike: (virtual) => shownWatts(virtual) > 2 * virtual.watts(),
    drift: (virtual) => shownWatts(virtual) < 0.92 * virtual.watts(),
    'clock-refused': (virtual) => !virtual.setGpuCap(virtual.gpuCapHz()),
    'clock-ignored': (virtual) => virtual.gpuHz() > virtual.gpuCapHz(),
    ambient: (virtual) => virtual.conditions().ambientCelsius === 50,
    overcurrent: (virtual) => virtual.sensed().throttling && virtual.gpuHz() <= virtual.gpuCapHz() / 2,
    'plant-error': (virtual) => virtual.board().model.idleWatts !== model.idleWatts,
  }
  t.strictSame(Object.keys(seen).sort(), Object.keys(faultKinds).sort())
  for (const kind of Object.keys(faultKinds) as FaultKind[]) {
    const fault = faultOf(kind, 2000, 14_000)
    const virtual = createVirtualBoard({ board, seed: 3, faults: [fault] })
    const during = new Set<boolean>()
    const outside = new Set<boolean>()
    decoding(virtual, 18_000, (atMs) => {
      // Half the clock from the middle on, so that a stuck sensor and a deaf clock can be told from sound ones.
      virtual.setGpuCap(atMs > 8000 && atMs < 16_000 ? top / 2 : top)
      const inForce = atMs >= fault.fromMs + 45 && atMs < fault.untilMs
      if (atMs < fault.fromMs || atMs > fault.untilMs + 3000) outside.add(seen[kind](virtual))
      else if (inForce) during.add(seen[kind](virtual))
    })
    t.ok(during.has(true), `${kind} shows`)
    t.notOk(outside.has(true), `${kind} shows outside its time`)
  }
})

t.test('the board protects itself from heat, and is free again when it is cooler', async (t) => {
  let ambient = 95
  const virtual = createVirtualBoard({ board, ambientCelsius: () => ambient })
  decoding(virtual, 20_000)
  t.ok(virtual.sensed().throttling && virtual.gpuHz() <= top / 2)
  ambient = 20
  decoding(virtual, 200_000)
  t.notOk(virtual.sensed().throttling)
  t.equal(virtual.gpuHz(), top)
})

t.test('the model beside published figures: fitted ones met, held-out 7B ones close', async (t) => {
  const groups = groupErrors(publishedRows())
  const of = (use: string, group: string) => groups.find((row) => row.use === use && row.group === group)
  t.ok((of('fitted', 'the board')?.medianError ?? 1) < 0.05)
  t.ok((of('fitted', '7 to 8 B')?.largestError ?? 1) < 0.05)
  t.ok((of('held out', '7 to 8 B')?.medianError ?? 1) < 0.15)
  t.ok((of('held out', 'smaller models')?.rows ?? 0) > 20, 'and what it does not describe is shown too')
})

t.test('every board: tree, real sensors, real clocks and plant close the loop', async (t) => {
  for (const row of boards) {
    const root = join(t.testdir(), row.id)
    const twin = createTwin({ board: row, root, now: () => 0, seed: 3 })
    const read = (path: string) => readFileSync(join(root, path), 'utf8')
    const traces = { rails: [], gpuHz: row.gpu.pointsHz }
    t.equal(detectBoard(read('proc/device-tree/compatible'), undefined, traces).board?.id, row.id)
    const source = createHwmonSource(row, root)
    const clocks = openClocks({ board: row, root, journalPath: join(t.testdirName, `${row.id}.json`) })
    const watts = new Map<number, number>()
    let atMs = 0
    for (const hz of row.gpu.pointsHz) {
      clocks.apply({ gpuHz: hz }, 0)
      atMs += 45
      twin.refresh(atMs)
      t.equal(twin.gpuHz(), hz)
      const seconds = workSeconds(row.model, hz, decode)
      for (let count = 0; count < 20; count += 1) {
        twin.addStep({ parts: mine, startedAtMs: atMs + count * seconds * 1000, seconds, work: decode })
      }
      let sum = 0
      const samples = Math.floor((20 * seconds * 1000) / 45)
      for (let count = 0; count < samples; count += 1) {
        atMs += 45
        twin.refresh(atMs)
        sum += (await source.read(atMs)).totalWatts ?? Number.NaN
      }
      t.equal(await clocks.gpu?.currentHz(), hz)
      atMs += 20_000
      twin.refresh(atMs)
      watts.set(hz, sum / samples)
      const expected = row.model.idleWatts + workWatts(row.model, hz, decode)
      t.ok(Math.abs(sum / samples / expected - 1) < 0.02, `${row.id} at ${hz}: ${sum / samples} W, model ${expected} W`)
    }
    twin.stop()
    clocks.restore()
  }
})

t.test('sensors: steps of the shunt, seeded noise, in place', async (t) => {
  const trace = (seed: number) => {
    const root = join(t.testdir(), 'root')
    const twin = createTwin({ board, root, now: () => 0, seed })
    const rows: string[] = []
    for (let atMs = 45; atMs < 2000; atMs += 45) {
      twin.refresh(atMs)
      rows.push(readFileSync(join(root, 'sys/class/hwmon/hwmon1/curr3_input'), 'utf8'))
    }
    twin.stop()
    return rows
  }
  const rows = trace(1)
  t.strictSame(rows, trace(1), 'same seed, same bytes')
  t.ok(
    rows.every((text) => Number(text) % 20 === 0 && /^\d+\n$/.test(text)),
    '20 mA steps',
  )
})

t.test(
  'a refresh that comes late shows the last conversion; energy told of later still is booked but not shown',
  async (t) => {
    const virtual = createVirtualBoard({ board })
    const shown = () => Object.values(sampledWatts(virtual.sensed().rails ?? [])).reduce((sum, watts) => sum + watts, 0)
    const step = (startedAtMs: number, ms: number) => ({ parts: mine, startedAtMs, seconds: ms / 1000, work: decode })
    virtual.refresh(45)
    const rest = shown()
    virtual.addStep(step(45, 200))
    virtual.refresh(400)
    t.ok(Math.abs(shown() - rest) < 0.5, `${shown()} W: the work ended before the last conversion`)
    virtual.addStep(step(400, 45))
    virtual.refresh(445)
    const busy = shown()
    t.ok(busy > rest + 5)
    const before = virtual.state().joules
    virtual.addStep(step(200, 245))
    virtual.refresh(490)
    t.ok(shown() < busy + 0.5, `${shown()} W is no more than such work ever draws`)
    t.ok(virtual.state().joules - before > 1.5 * 0.045 * rest, 'the energy is booked')
  },
)

t.test('who reads after a delay finds the sensors up to date', async (t) => {
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board, root, now: () => 0 })
  const source = createHwmonSource(board, root)
  twin.catchUp(45)
  const rest = (await source.read(45)).totalWatts ?? 0
  const work = { ...decode, bytes: 10 * decode.bytes, flops: 10 * decode.flops }
  twin.addStep({ parts: mine, startedAtMs: 45, seconds: 0.4, work })
  twin.catchUp(80)
  t.equal((await source.read(80)).totalWatts, rest, 'not due yet')
  twin.catchUp(300)
  t.ok(((await source.read(300)).totalWatts ?? 0) > rest + 5)
  twin.stop()
})

t.test('the sensor converts every 45 ms, however timers and readers come together', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  t.teardown(() => mock.timers.reset())
  let clockMs = 0
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board, root, now: () => clockMs })
  twin.start()
  const seen: number[] = []
  const look = () => {
    if (clockMs > 100) seen.push(Number(readFileSync(join(root, 'sys/class/hwmon/hwmon1/curr1_input'), 'utf8')))
  }
  /** Steps of 20 ms without a pause between them, each told of 3 ms after it began. */
  const pass = (ms: number) => {
    for (const untilMs = clockMs + ms; clockMs < untilMs; ) {
      clockMs += 1
      if (clockMs % 20 === 3) twin.addStep({ parts: mine, startedAtMs: clockMs - 3, seconds: 0.02, work: decode })
    }
  }
  while (clockMs < 5000) {
    pass(30)
    mock.timers.tick(30)
    look()
    // The process is held up; then a reader has its turn before the timer has.
    pass(22)
    twin.catchUp(clockMs)
    look()
    pass(1)
    mock.timers.tick(23)
    look()
  }
  twin.stop()
  const [least, most] = [Math.min(...seen), Math.max(...seen)]
  t.ok(least > 0.8 * most, `the same load shows ${least} to ${most} mA`)
})

t.test('a damaged clock file is no cap; settling is exact; bills are forgotten', async (t) => {
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board, root, now: () => 0 })
  writeFileSync(join(root, 'sys/class/devfreq/17000000.gpu/max_freq'), 'x')
  twin.refresh(45)
  t.equal(twin.gpuHz(), top)
  const before = twin.settle(100)
  twin.addStep({ parts: mine, startedAtMs: 100, seconds: 0.5, work: decode })
  const half = twin.settle(350)
  const all = twin.settle(600)
  t.ok(Math.abs(all.requests.a.joules - 2 * half.requests.a.joules) < 1e-9)
  const booking = energyBetween(before, all)
  t.ok(Math.abs(booking.seconds - 0.5) < 1e-9 && booking.shares.length === 1)
  t.ok(Math.abs(booking.staticJoules - 0.5 * (model.idleWatts + leakWatts(model, 25))) < 0.01)
  t.ok(Math.abs(booking.joules - booking.staticJoules - booking.shares[0].weight) < 1e-9)
  twin.addStep({ parts: mine, startedAtMs: 600, seconds: 1, work: decode })
  twin.settle(700)
  twin.forget('a')
  t.strictSame(twin.settle(100).requests, {}, 'a time before the last changes nothing')
  t.strictSame(Object.keys(twin.settle(900).requests), [''], 'work after the bill is booked to nobody')
  twin.stop()
})

t.test('faults of the control file reach the files, and the files come back', async (t) => {
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board, root, now: () => 0 })
  const source = createHwmonSource(board, root)
  const clocks = openClocks({ board, root, journalPath: join(t.testdirName, 'clocks.json') })
  twin.refresh(45)
  t.ok((await source.read(45)).totalWatts)
  let atMs = 45
  const after = (ms: number) => {
    atMs += ms
    twin.refresh(atMs)
  }
  for (const amount of [0, 1]) {
    injectFaults(root, [faultOf('loss', atMs, atMs + 2000, amount)])
    after(45)
    t.match(await source.read(atMs), { totalWatts: null, totalWattsReason: /no reading of VDD_GPU_SOC/ })
    after(2045)
    after(1045)
    t.ok((await source.read(atMs)).totalWatts, 'recovers without a restart')
  }
  injectFaults(root, [faultOf('clock-refused', atMs, atMs + 1000)])
  after(45)
  t.ok(clocks.apply({ gpuHz: top / 2 }, atMs).gpu?.fault, 'the write is refused')
  t.equal(await clocks.gpu?.capHz(), top, 'reads go on')
  injectFaults(root, [])
  after(45)
  after(60_000)
  t.match(clocks.apply({ gpuHz: 612_000_000 }, atMs).gpu, { value: 612_000_000, fault: null })
  twin.stop()
  clocks.restore()
})

t.test(
  'tegrastats of the running twin: the last sample first, a mean that idle time pollutes, and its deaths',
  async (t) => {
    const root = join(t.testdir(), 'root')
    const twin = createTwin({ board, root, now: () => 0 })
    const say = openTegrastats(board, root, 'r36-agx-orin')
    const lineAt = (atMs: number) => {
      const said = say(atMs)
      return typeof said === 'string' ? said : parseTegrastats(said.line)
    }
    twin.refresh(45)
    const idle = lineAt(45)
    t.match(idle, { unknown: [], railWatts: { VDD_CPU_CV: 0.392, VIN_SYS_5V0: 4 } })
    twin.addStep({ parts: mine, startedAtMs: 45, seconds: 0.045, work: decode })
    twin.refresh(90)
    const raw = say(90)
    const [, now, mean] = /VDD_GPU_SOC (\d+)mW\/(\d+)mW/.exec(typeof raw === 'string' ? '' : raw.line) ?? []
    t.ok(Number(now) > 10_000, 'instantaneous')
    t.ok(Math.abs(Number(mean) - (Number(now) + 2352) / 2) < 2, 'the mean since its own start')
    injectFaults(root, [faultOf('loss', 90, 1000, 2)])
    t.equal(lineAt(135), 'hangs')
    injectFaults(root, [faultOf('loss', 90, 1000, 0)])
    t.equal(lineAt(135), 'died')
    t.not(lineAt(1000), 'died')
    twin.stop()
  },
)

t.test('the timer refreshes the tree and does not hold the process', async (t) => {
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board, root, now: () => Number(process.hrtime.bigint()) / 1e6 })
  twin.start()
  twin.start()
  const first = twin.energy().atMs
  // The timer is unreferenced, so something else must keep the process alive while we wait for it.
  const keep = setInterval(() => undefined, 1000)
  while (twin.energy().atMs === first) await new Promise((resolve) => setImmediate(resolve))
  clearInterval(keep)
  t.ok(twin.energy().joules > 0)
  twin.stop()
})

t.test('as if: a 7B at the shares of the loaded model', async (t) => {
  t.equal(asIfCost('none', [1]), undefined)
  t.throws(() => asIfCost('gpt-5', [1]), { code: 'setting_invalid' })
  const cost = asIfCost('llama-2-7b', [0.5, 1])
  t.ok(cost)
  if (cost === undefined) return
  const fast = paceOf(model, cost, top)
  const slow = paceOf(model, cost, board.gpu.pointsHz[0])
  const token = paceSeconds(fast, { phase: 'decode', level: 1, parts: [{ tokens: 1, contextTokens: 0 }] })
  t.ok(Math.abs(token - 0.02594) < 0.0003, `${token} s per token`)
  t.ok(Math.abs(fast.weightSeconds[0] / fast.weightSeconds[1] - 0.5) < 1e-9)
  t.ok(slow.weightSeconds[1] > 2 * fast.weightSeconds[1])
  t.ok(fast.arithmeticSecondsPerToken[1] < 0.001)
  const parts = (tokens: number, contextTokens: number, count = 1) =>
    Array.from({ length: count }, () => ({ tokens, contextTokens }))
  for (const [level, list] of [
    [1, parts(1, 1000)],
    [0, parts(1, 50, 4)],
    [1, parts(9, 300)],
    [1, parts(512, 0)],
  ] as const) {
    const run = { phase: 'decode', level, parts: list } as const
    const seconds = workSeconds(model, top, runWork(cost, run))
    t.ok(Math.abs(paceSeconds(fast, run) / seconds - 1) < 1e-9, 'the pace of a run is the time of its work')
  }
})

t.test('closed loop: real adapters, governor and plant hold a budget that falls in mid-answer', async (t) => {
  const root = join(t.testdir(), 'root')
  const twin = createTwin({ board, root, now: () => 0, seed: 9 })
  const clocks = openClocks({ board, root, journalPath: join(t.testdirName, 'clocks.json') })
  const source = createHwmonSource(board, root)
  const cost = asIfCost('llama-2-7b', [0.4, 0.7, 1])
  const ladder = { gpuHz: clocks.gpu?.pointsHz ?? [], cpuHz: null, shares: [0.4, 0.7, 1] }
  t.ok(cost)
  if (cost === undefined) return
  const prefill = { phase: 'prefill', level: 2, tokens: 128, contextTokens: 0 } as const
  const token = { phase: 'decode', level: 2, tokens: 1, contextTokens: 200 } as const
  let works: readonly TimedWork[] = []
  let state = initialState({ atMs: 0, ladder, budgetWatts: 50, idleWatts: model.idleWatts })
  let freeAtMs = 0
  let tokens = 0
  let last = twin.settle(0)
  const rows: { readonly atMs: number; readonly watts: number; readonly budget: number }[] = []

  for (let atMs = 5; atMs <= 30_000; atMs += 5) {
    const budget = atMs > 15_000 ? 32 : 50
    // An engine that answers without a pause, 128 tokens of prompt for every 60 of answer, paced as the 7B.
    while (freeAtMs <= atMs) {
      const next = tokens++ % 60 === 0 ? prefill : token
      const work = stepWork(cost, next)
      const seconds = workSeconds(model, twin.gpuHz(), work)
      twin.addStep({ parts: mine, startedAtMs: freeAtMs, seconds, work })
      works = [
        ...works,
        { phase: next.phase, startedAtMs: freeAtMs, seconds, parts: [{ requestId: 'a', weight: work.bytes }] },
      ]
      freeAtMs += seconds * 1000
    }
    if (atMs % 45 === 0) twin.refresh(atMs)
    if (atMs % 50 !== 0) continue
    const now = twin.settle(atMs)
    rows.push({ atMs, watts: (now.joules - last.joules) / ((now.atMs - last.atMs) / 1000), budget })
    last = now
    const busy = ranBetween(works, atMs - 50, atMs)
    works = worksAfter(works, atMs)
    const { totalWatts, tjCelsius } = await source.read(atMs)
    const next = step(state, {
      atMs,
      ladder,
      model,
      limits: {
        budgetWatts: budget,
        throttleCelsius: 99,
        staleAfterMs: source.staleAfterMs,
        tokenSeconds: 0,
        firstTokenSeconds: 0,
        maxSequences: 4,
        hold: null,
      },
      reading: { atMs, totalWatts, tjCelsius },
      gpuCapHz: state.decision.gpuHz,
      load: {
        active: 1,
        queued: 0,
        // Prompts come unannounced, so that the cap must hold for both.
        prefilling: 1,
        promptTokens: 128,
        sequenceBytes: 0,
        intervalSeconds: 0.05,
        told: null,
        decode: { work: stepWork(cost, token), seconds: busy.decodeSeconds, stepSeconds: null },
        prefill: { work: stepWork(cost, prefill), seconds: busy.prefillSeconds, stepSeconds: null, tokens: 128 },
      },
    })
    state = next.state
    clocks.apply({ gpuHz: next.decision.gpuHz, cpuHz: next.decision.cpuHz }, atMs)
  }
  twin.stop()

  // Mean over any 1 s, a second of grace after the start and 300 ms after the step.
  let over = 0
  for (let index = 39; index < rows.length; index += 1) {
    const window = rows.slice(index - 19, index + 1)
    const mean = window.reduce((sum, row) => sum + row.watts, 0) / window.length
    const straddles = window[0].atMs <= 15_400 && rows[index].atMs > 15_000
    if (!straddles && mean > rows[index].budget) over += 1
  }
  t.equal(over, 0, '1 s means over the budget')
  const late = rows.filter((row) => row.atMs > 15_400 && row.watts > 32)
  t.ok(late.length <= 2, `${late.length} rows over the new budget`)
  // 40 W: the latency target is 0, so it is the cap for prompts that decides. It stays at 1122 MHz, because prompts at
  // 1224 MHz (48.0 W) are predicted at 48.6 W, and three deviations more are over the 49.25 W that the law aims for.
  const first = rows.filter((row) => row.atMs > 10_000 && row.atMs <= 15_000)
  t.ok(first.reduce((sum, row) => sum + row.watts, 0) / first.length > 38, 'the first budget is used')
  t.ok(tokens > 700, `${tokens} steps`)
})
