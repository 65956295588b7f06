import fc from 'fast-check'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { partShares, type RunShape, runWork, workSeconds, workWatts } from '../src/board/work.ts'
import { createAccountant } from '../src/daemon/accountant.ts'
import { batteryLeft } from '../src/energy/battery.ts'
import { billOf } from '../src/energy/bill.ts'
import { lateBetween, ranBetween, sharesBetween, type TimedWork, worksAfter } from '../src/energy/busy.ts'
import { grams, gridOf, grids } from '../src/energy/carbon.ts'
import { codecarbonColumns, codecarbonCsv } from '../src/energy/codecarbon.ts'
import { addSample, emptyMeter } from '../src/energy/integrate.ts'
import { book, closeRequest, emptyLedger, type Outcome, openRequest, requestJoules } from '../src/energy/ledger.ts'
import { measuredUncertainty, simulatedUncertainty } from '../src/energy/uncertainty.ts'
import { asIfCost } from '../src/twin/as-if.ts'
import { sampledWatts } from '../src/twin/sensors.ts'
import { createVirtualBoard } from '../src/twin/virtual.ts'

const board = findBoard('agx-orin-64gb')

t.test('trapezoids on monotonic time; gaps are unknown, not guessed', async (t) => {
  const samples = [
    { atMs: 0, watts: 10 },
    { atMs: 100, watts: 20 },
    { atMs: 200, watts: null },
    { atMs: 300, watts: 20 },
    { atMs: 250, watts: 99 },
    { atMs: 1300, watts: 20 },
    { atMs: 1400, watts: 20 },
  ]
  const end = samples.reduce((state, sample) => addSample(state, sample, 300).state, emptyMeter)
  t.ok(Math.abs(end.joules - (1.5 + 2)) < 1e-12)
  t.ok(Math.abs(end.unknownSeconds - 1.2) < 1e-12, 'two intervals beside the unknown value, one gap of a second')
  t.equal(end.samples, 5, 'a sample from the past is ignored, an unknown one is none')
})

t.test('requests and idle add up to the meter whatever is booked', async (t) => {
  const id = fc.constantFrom('a', 'b', 'c')
  const interval = fc.record({
    seconds: fc.double({ min: 0.01, max: 1, noNaN: true }),
    joules: fc.double({ min: 0, max: 60, noNaN: true }),
    staticJoules: fc.double({ min: 0, max: 10, noNaN: true }),
    unknownSeconds: fc.double({ min: 0, max: 1, noNaN: true }),
    shares: fc.uniqueArray(
      fc.record({
        requestId: id,
        seconds: fc.double({ min: 0, max: 1, noNaN: true }),
        weight: fc.double({ min: 0, max: 4e9, noNaN: true }),
      }),
      { selector: (share) => share.requestId },
    ),
  })
  const event = fc.oneof(
    fc.record({ open: id }),
    fc.record({ close: id }),
    interval.map((booking) => ({ booking })),
  )
  const property = fc.property(fc.array(event, { maxLength: 40 }), (events) => {
    let ledger = emptyLedger
    for (const happened of events) {
      if ('open' in happened) ledger = openRequest(ledger, happened.open)
      else if ('close' in happened) ledger = closeRequest(ledger, happened.close).ledger
      else ledger = book(ledger, happened.booking)
    }
    const sum = requestJoules(ledger) + ledger.idleJoules
    return Math.abs(sum - ledger.meterJoules) <= 1e-9 * Math.max(1, ledger.meterJoules)
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 7, numRuns: 300 }))
})

t.test('static joules by time, dynamic joules by weight, the rest idle', async (t) => {
  let ledger = openRequest(openRequest(emptyLedger, 'a'), 'b')
  ledger = book(ledger, {
    seconds: 1,
    joules: 40,
    staticJoules: 10,
    unknownSeconds: 0,
    shares: [
      { requestId: 'a', seconds: 0.25, weight: 1e9 },
      { requestId: 'b', seconds: 0.25, weight: 2e9 },
    ],
  })
  t.equal(ledger.open.a.joules, 2.5 + 10)
  t.equal(ledger.open.b.joules, 2.5 + 20)
  t.equal(ledger.idleJoules, 5)
  const closed = closeRequest(ledger, 'a')
  t.equal(closed.account?.joules, 12.5)
  const share = { requestId: 'a', seconds: 1, weight: 1 }
  const late = book(closed.ledger, { seconds: 1, joules: 10, staticJoules: 5, unknownSeconds: 0, shares: [share] })
  t.equal(late.idleJoules, 5, 'work reported after the bill is still no idling')
  t.equal(closeRequest(late, 'a').account, undefined)
  const alone = book(emptyLedger, { seconds: 1, joules: 40, staticJoules: 10, unknownSeconds: 0, shares: [] })
  t.equal(alone.idleJoules, 40)
})

t.test('work is cut at the ends of an interval', async (t) => {
  const works = [
    { phase: 'prefill', startedAtMs: 0, seconds: 0.1, parts: [{ requestId: 'a', weight: 10 }] },
    { phase: 'decode', startedAtMs: 100, seconds: 0.2, parts: [{ requestId: 'a', weight: 20 }] },
    {
      phase: 'decode',
      startedAtMs: 900,
      seconds: 1,
      parts: [
        { requestId: 'a', weight: 1 },
        { requestId: 'b', weight: 3 },
      ],
    },
  ] as const
  const busy = ranBetween(works, 50, 200)
  t.ok(Math.abs(busy.prefillSeconds - 0.05) < 1e-12 && Math.abs(busy.decodeSeconds - 0.1) < 1e-12)
  const shares = sharesBetween(works, 50, 200)
  t.equal(shares.length, 1)
  t.ok(Math.abs(shares[0].weight - 15) < 1e-9 && Math.abs(shares[0].seconds - 0.15) < 1e-9)
  t.equal(ranBetween(works, 900, 1900).decodeSeconds, 1, 'a run for two answers is one second of work')
  t.strictSame(sharesBetween(works, 900, 1900), [
    { requestId: 'a', seconds: 0.5, weight: 1 },
    { requestId: 'b', seconds: 0.5, weight: 3 },
  ])
  const told = works.map((work) => ({ ...work, toldAtMs: work.startedAtMs + 30 }))
  const late = (fromMs: number, toMs: number, lateMs = 10) => lateBetween(told, { fromMs, toMs, lateMs })
  t.strictSame([late(100, 150), late(920, 970), late(930, 980), late(850, 900)], [true, true, false, false])
  t.notOk(late(900, 950, 30), 'told in time')
  t.strictSame(
    worksAfter(works, 200).map((work) => work.startedAtMs),
    [100, 900],
  )
})

t.test('a measured figure below the resolution of the sensor is withheld with its reason', async (t) => {
  const account = { staticJoules: 0, dynamicJoules: 0, unknownSeconds: 0, samplingVariance: 0 }
  const answer = { method: 'measured', completionTokens: 10, gramsPerKwh: 440 } as const
  const tiny = billOf(board, { ...account, joules: 0.01, seconds: 0.1, intervals: 1 }, answer)
  t.equal(tiny.joules, null)
  t.match(tiny.joulesReason, /below the sensor's resolution/)
  const good = billOf(board, { ...account, joules: 40, seconds: 1, intervals: 20 }, answer)
  t.equal(good.joules, 40)
  t.equal(good.joulesPerToken, 4)
  t.equal(good.rail, 'sum3')
  t.ok(good.uncertaintyJoules > 0 && good.uncertaintyJoules < 1)
  const blind = billOf(board, { ...account, joules: 4, seconds: 1, unknownSeconds: 0.9, intervals: 2 }, answer)
  t.match(blind, { joules: null, joulesReason: 'no usable power reading for 0.90 s' })
  t.match(billOf(board, undefined, answer), { joules: null, joulesReason: /no work/ })
  const simulated = billOf(
    board,
    { ...account, joules: 0.01, seconds: 0.1, intervals: 1 },
    { ...answer, method: 'simulated' },
  )
  t.match(simulated, { joules: 0.01, uncertaintyJoules: 0.004, method: 'simulated' }, 'always a number')
})

t.test('uncertainty falls with the number of samples', async (t) => {
  t.ok(measuredUncertainty(board, 1, 20) < measuredUncertainty(board, 1, 1))
  t.equal(measuredUncertainty(board, 1, 0), measuredUncertainty(board, 1, 1))
  // Two rails of 0.392 W and one of 0.1 W per step, uniform, two standard deviations.
  const one = 2 * Math.sqrt((2 * 0.392 ** 2 + 0.1 ** 2) / 12)
  t.ok(Math.abs(measuredUncertainty(board, 1, 1) - one) < 1e-12)
  t.equal(simulatedUncertainty(10), 4)
})

t.test('carbon: joules over 3.6e6 times grams per kWh', async (t) => {
  t.ok(Math.abs(grams(4.2, 440) - 5.13e-4) < 1e-6, 'the factor of 3600 is right')
  for (const [place, row] of Object.entries(grids)) {
    t.ok(row.gramsPerKwh > 0 && row.year >= 2023 && row.source.length > 0, `${place} is dated and sourced`)
  }
})

t.test('a silence of the sensor is a gap, a slow reading at rest is none', async (t) => {
  const rest = addSample(addSample(emptyMeter, { atMs: 0, watts: 7 }, 3000).state, { atMs: 1000, watts: 7 }, 150)
  t.equal(rest.interval.unknownSeconds, 0, 'the reading before was taken at rest, when one a second is due')
  const silent = addSample(rest.state, { atMs: 2000, watts: 7 }, 150)
  t.equal(silent.interval.unknownSeconds, 1)
  t.equal(silent.interval.joules, 0, 'never filled')
})

const cost = asIfCost('llama-2-7b', [0.5, 1])
if (cost === undefined) throw new Error('the 7B is a row of the table')
type Run = Omit<RunShape, 'parts'> & {
  readonly parts: readonly { requestId: string; tokens: number; contextTokens: number }[]
}
const decodeOf = (...parts: readonly (readonly [string, number])[]): Run => ({
  phase: 'decode',
  level: 1,
  parts: parts.map(([requestId, contextTokens]) => ({ requestId, tokens: 1, contextTokens })),
})

/** Runs one after the other on the simulated board, metered as a real one is: samples of hwmon every 45 ms. */
function metered(runs: readonly Run[], seed: number, pauseMs = 0) {
  const virtual = createVirtualBoard({ board, seed })
  const { model } = board
  let ledger = emptyLedger
  let meter = emptyMeter
  let works: readonly TimedWork[] = []
  let freeAtMs = 500
  for (const run of runs) {
    for (const { requestId } of run.parts) ledger = openRequest(ledger, requestId)
    const work = runWork(cost as NonNullable<typeof cost>, run)
    const seconds = workSeconds(model, virtual.gpuHz(), work)
    const shares = partShares(cost as NonNullable<typeof cost>, run)
    const joules = workWatts(model, virtual.gpuHz(), work) * seconds
    const parts = run.parts.map(({ requestId }, i) => ({ requestId, share: shares[i], weight: joules * shares[i] }))
    virtual.addStep({ startedAtMs: freeAtMs, seconds, work, parts })
    works = [...works, { phase: run.phase, startedAtMs: freeAtMs, seconds, parts }]
    freeAtMs += seconds * 1000 + pauseMs
  }
  for (let atMs = 45; atMs < freeAtMs + 500; atMs += 45) {
    virtual.run(atMs)
    const watts = sampledWatts(virtual.sensed().rails ?? [])
    const total = board.total.rails.reduce((sum, rail) => sum + watts[rail], 0)
    const { state, interval } = addSample(meter, { atMs, watts: total }, 150)
    const staticJoules = model.idleWatts * interval.seconds
    const shares = sharesBetween(works, atMs - interval.seconds * 1000, atMs)
    ledger = book(ledger, { ...interval, staticJoules, shares })
    meter = state
  }
  return { ledger, truth: virtual.state().joules }
}

t.test('what is booked is the meter to 0.1 %, and the meter the plant to 2 %, over random schedules', async (t) => {
  const part = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 3000 }))
  const run = fc.uniqueArray(part, { minLength: 1, maxLength: 4, selector: ([id]) => id }).chain((parts) =>
    fc.constantFrom<Run['phase']>('decode', 'decode', 'prefill').map(
      (phase): Run => ({
        phase,
        level: 1,
        parts: parts.map(([requestId, contextTokens]) => ({
          requestId,
          tokens: phase === 'decode' ? 1 : 64,
          contextTokens,
        })),
      }),
    ),
  )
  const schedule = fc.array(run, { minLength: 40, maxLength: 120 })
  const outcomes = fc.array(fc.constantFrom<Outcome>('finished', 'cancelled', 'failed'), { minLength: 4, maxLength: 4 })
  const property = fc.property(schedule, outcomes, fc.integer({ min: 0, max: 60 }), (runs, ends, pauseMs) => {
    let { ledger, truth } = metered(runs, 3, pauseMs)
    const open = Object.keys(ledger.open)
    for (const [index, id] of open.entries()) ledger = closeRequest(ledger, id, ends[index]).ledger
    const sum = Object.values(ledger.closed).reduce((total, joules) => total + joules, 0) + ledger.idleJoules
    const near = (a: number, b: number, share: number) => Math.abs(a - b) <= share * b
    return near(sum, ledger.meterJoules, 0.001) && near(ledger.meterJoules, truth, 0.02)
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 11, numRuns: 25 }))
})

t.test('attribution is within 5 % of what each answer would have cost alone', async (t) => {
  const tokens = 60
  const times = (run: Run) => Array.from({ length: tokens }, () => run)
  for (const contexts of [
    [100, 2500],
    [1000, 1200],
    [0, 500],
  ]) {
    const [a, b] = contexts
    const dynamicOf = (id: string, runs: readonly Run[]) => metered(runs, 5).ledger.open[id].joules
    const alone = { a: dynamicOf('a', times(decodeOf(['a', a]))), b: dynamicOf('b', times(decodeOf(['b', b]))) }
    const turns = metered(
      times(decodeOf(['a', a])).flatMap((run) => [run, decodeOf(['b', b])]),
      6,
    ).ledger.open
    for (const id of ['a', 'b'] as const) {
      t.ok(Math.abs(turns[id].joules / alone[id] - 1) < 0.05, `in turns, ${contexts}: ${turns[id].joules / alone[id]}`)
    }
    // Together they read the weights once: both pay less than alone, in the proportion of their costs alone.
    const together = metered(times(decodeOf(['a', a], ['b', b])), 7).ledger.open
    const saved = (together.a.joules + together.b.joules) / (alone.a + alone.b)
    t.ok(saved < 0.75, `${saved} of the cost alone`)
    for (const id of ['a', 'b'] as const) {
      const fair = together[id].joules / (saved * alone[id])
      t.ok(Math.abs(fair - 1) < 0.05, `batched, ${contexts}: ${fair} of its fair part`)
    }
  }
})

interface Asked {
  readonly answers: readonly {
    readonly id: string
    /** Milliseconds of rest before its first run, and of each of its runs. */
    readonly restMs: number
    readonly runsMs: readonly number[]
    /** Leaves in the middle of its last run. */
    readonly leaves?: boolean
  }[]
  /** Between two readings, and which of them the sensor did not give. */
  readonly periodMs: number
  readonly lost?: readonly number[]
  /** When a run is told of: a real engine does it when it is computed, a simulated one at once. */
  readonly told: 'start' | 'end'
}

/** Answers of a 7B one after the other, booked by the daemon's own accountant from the sensors of a virtual board. */
function booked({ answers, periodMs, lost = [], told }: Asked) {
  const priced = cost as NonNullable<typeof cost>
  const virtual = createVirtualBoard({ board, seed: 4 })
  let nowMs = 0
  const accountant = createAccountant({
    board,
    cost: priced,
    twin: null,
    startMs: 0,
    gapMs: () => 3 * periodMs,
    gramsPerKwh: 481,
    gpuHz: virtual.gpuHz,
    now: () => nowMs,
  })
  const bills = new Map<string, number | null>()
  const events: { atMs: number; happens: () => void }[] = []
  const at = (atMs: number, happens: () => void) => events.push({ atMs, happens })
  let freeAtMs = 200
  for (const { id, restMs, runsMs, leaves } of answers) {
    freeAtMs += restMs
    at(freeAtMs, () => accountant.openAccount(id))
    for (const [i, ms] of runsMs.entries()) {
      const parts = [{ requestId: id, tokens: 1, contextTokens: 100 + i, emitted: 1 }]
      const step = { phase: 'decode', level: 1, startedAtMs: freeAtMs, seconds: ms / 1000, parts } as const
      virtual.addStep({ ...step, work: runWork(priced, step), parts: [{ requestId: id, share: 1 }] })
      at(told === 'start' ? freeAtMs : freeAtMs + ms, () => accountant.addStep(step))
      freeAtMs += ms
    }
    const closes = () =>
      bills.set(id, accountant.closeAccount(id, runsMs.length, leaves ? 'cancelled' : 'finished').joules)
    at(leaves ? freeAtMs - (runsMs.at(-1) ?? 0) / 2 : freeAtMs, closes)
  }
  const endMs = freeAtMs + 1000
  for (let atMs = periodMs; atMs <= endMs; atMs += periodMs) {
    at(atMs, () => {
      virtual.run(atMs)
      const watts = sampledWatts(virtual.sensed().rails ?? [])
      const totalWatts = board.total.rails.reduce((sum, rail) => sum + watts[rail], 0)
      const blind = lost.includes(Math.round(atMs / periodMs))
      accountant.settle(atMs, { atMs, totalWatts: blind ? null : totalWatts, totalRule: board.total.name })
    })
  }
  const seen = []
  for (const { atMs, happens } of events.sort((a, b) => a.atMs - b.atMs)) {
    nowMs = atMs
    happens()
    seen.push({ ledger: accountant.ledger(), whole: accountant.provisional() })
  }
  const { requests, joules, staticJoules, atMs } = virtual.state()
  const truth = (id: string) => requests[id].joules + (staticJoules / atMs) * 1000 * requests[id].seconds
  return { bills, seen, ledger: accountant.provisional(), truth, joules }
}

t.test('runs that are told of when they end are billed as if they had been told of at once', async (t) => {
  for (const periodMs of [45, 50]) {
    const answers = [{ id: 'a', restMs: 300, runsMs: Array.from({ length: 20 }, () => 110) }]
    const { bills, ledger, truth, joules } = booked({ answers, periodMs, told: 'end' })
    const share = (bills.get('a') ?? Number.NaN) / truth('a')
    t.ok(Math.abs(share - 1) < 0.05, `a reading every ${periodMs} ms: ${share} of the truth`)
    const rest = ledger.idleJoules / (joules - truth('a'))
    t.ok(Math.abs(rest - 1) < 0.05, `at rest ${rest} of the truth`)
  }

  const answer = fc.record({
    restMs: fc.integer({ min: 0, max: 900 }),
    runsMs: fc.array(fc.integer({ min: 5, max: 600 }), { minLength: 1, maxLength: 6 }),
    leaves: fc.boolean(),
  })
  const schedule = fc.record({
    answers: fc
      .array(answer, { minLength: 1, maxLength: 4 })
      .map((all) => all.map((one, i) => ({ ...one, id: `${i}` }))),
    periodMs: fc.constantFrom(45, 50, 130, 1000),
    lost: fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 6 }),
  })
  const near = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b))
  const property = fc.property(schedule, (asked) => {
    const late = booked({ ...asked, told: 'end' })
    const { ledger, bills } = booked({ ...asked, told: 'start' })
    const first = late.seen[0].ledger
    late.seen.reduce((before, { ledger: books, whole }) => {
      for (const one of [books, whole]) {
        if (!near(requestJoules(one) + one.idleJoules, one.meterJoules)) throw new Error('joules were lost')
      }
      if (books.idleJoules < before.idleJoules - 1e-9) throw new Error('what was idle is not any more')
      return books
    }, first)
    for (const key of ['idleJoules', 'meterJoules', 'unknownSeconds'] as const) {
      if (!near(late.ledger[key], ledger[key])) throw new Error(`${key}: ${late.ledger[key]}, not ${ledger[key]}`)
    }
    for (const { id, leaves } of asked.answers) {
      const [bill, same] = [late.bills.get(id) ?? 0, bills.get(id) ?? 0]
      if (!leaves && !near(bill, same)) throw new Error(`a bill of ${bill}, not ${same} J`)
    }
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 5, numRuns: 100 }))
})

t.test('a bill states sensor steps, sampling and gain', async (t) => {
  const { ledger } = metered(
    Array.from({ length: 100 }, () => decodeOf(['a', 200])),
    8,
  )
  const account = ledger.open.a
  const answer = { method: 'measured', completionTokens: 100, gramsPerKwh: 481 } as const
  const bill = billOf(board, account, answer)
  t.ok(bill.joules !== null && bill.uncertaintyJoules > 0.01 * bill.joules, 'at least the gain')
  t.ok(bill.uncertaintyJoules < 0.1 * (bill.joules ?? 0))
  const unsteady = billOf(board, { ...account, samplingVariance: account.samplingVariance + 100 }, answer)
  t.ok(unsteady.uncertaintyJoules > bill.uncertaintyJoules + 10)
})

t.test('a battery: hours and tokens left, or why not', async (t) => {
  const seen = { wattHours: 100, percent: 50, meanWatts: 25, joulesPerToken: 1.5 }
  t.match(batteryLeft(seen), { hoursLeft: 2, tokensLeft: 120_000, hoursLeftReason: null })
  t.match(batteryLeft({ ...seen, percent: null }), { hoursLeft: null, hoursLeftReason: /no battery/ })
  t.match(batteryLeft({ ...seen, wattHours: null }), { percent: 50, hoursLeft: null, hoursLeftReason: /battery_wh/ })
  t.match(batteryLeft({ ...seen, meanWatts: null }), { hoursLeft: null, hoursLeftReason: /unknown/ })
  t.match(batteryLeft({ ...seen, joulesPerToken: null }), { tokensLeft: null, tokensLeftReason: /no token/ })
})

t.test('CodeCarbon’s columns, in its order and units; what stays empty says why', async (t) => {
  const machine = { os: 'linux', cpuCount: 12, cpuModel: 'A78AE, 12 cores', gpuModel: 'Orin', ramBytes: 64e9 }
  const row = {
    timestamp: '2026-11-24T10:00:00.000Z',
    runId: 'r1',
    experiment: '=HYPERLINK("x")',
    seconds: 3600,
    joules: 3.6e6,
    gramsPerKwh: 381,
    country: { name: 'Germany', code: 'DE' },
    machine,
  }
  const [head, line] = codecarbonCsv([row]).trim().split('\n')
  t.equal(head.split(',').length, 38)
  t.match(head, /^timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power/)
  t.match(line, /^2026-11-24T10:00:00.000Z,deapd,r1,"'=HYPERLINK\(""x""\)",3600,0\.381,/)
  t.match(line, /,"A78AE, 12 cores",1,Orin,/)
  for (const [name, value, why] of codecarbonColumns) t.ok(value(row) !== '' || why, `${name} has a value or a reason`)
  t.equal(gridOf('de')?.row.gramsPerKwh, 381)
  t.equal(gridOf('nowhere'), undefined)
})
