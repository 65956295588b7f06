import fc from 'fast-check'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { billOf } from '../src/energy/bill.ts'
import { busyBetween, worksAfter } from '../src/energy/busy.ts'
import { grams, grids } from '../src/energy/carbon.ts'
import { addSample, emptyMeter } from '../src/energy/integrate.ts'
import { book, closeRequest, emptyLedger, openRequest, requestJoules } from '../src/energy/ledger.ts'
import { measuredUncertainty, simulatedUncertainty } from '../src/energy/uncertainty.ts'

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
  const end = samples.reduce((state, sample) => addSample(state, sample, 100).state, emptyMeter)
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
  const busy = busyBetween(works, 50, 200)
  t.ok(Math.abs(busy.prefillSeconds - 0.05) < 1e-12 && Math.abs(busy.decodeSeconds - 0.1) < 1e-12)
  t.equal(busy.shares.length, 1)
  t.ok(Math.abs(busy.shares[0].weight - 15) < 1e-9 && Math.abs(busy.shares[0].seconds - 0.15) < 1e-9)
  const together = busyBetween(works, 900, 1900)
  t.equal(together.decodeSeconds, 1, 'a run for two answers is one second of work')
  t.strictSame(together.shares, [
    { requestId: 'a', seconds: 0.5, weight: 1 },
    { requestId: 'b', seconds: 0.5, weight: 3 },
  ])
  t.strictSame(
    worksAfter(works, 200).map((work) => work.startedAtMs),
    [100, 900],
  )
})

t.test('a measured figure below the resolution of the sensor is withheld with its reason', async (t) => {
  const account = { staticJoules: 0, dynamicJoules: 0, unknownSeconds: 0 }
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
