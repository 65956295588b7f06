import fc from 'fast-check'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { type Work, workWatts } from '../src/board/work.ts'
import { initialState } from '../src/governor/initial.ts'
import { reasons } from '../src/governor/reasons.ts'
import { step } from '../src/governor/step.ts'
import { tuning } from '../src/governor/tuning.ts'
import type { Decision, GovernorState, Inputs } from '../src/governor/types.ts'

const board = findBoard('agx-orin-64gb')
const { model } = board
const ladder = { gpuHz: board.gpu.pointsHz, shares: [0.42, 0.6, 0.8, 1] }
const decodeWork: Work = { phase: 'decode', bytes: 3.5e9, flops: 13.2e9 }
const prefillWork: Work = { phase: 'prefill', bytes: 3.5e9, flops: 128 * 13.2e9 }
const top = ladder.gpuHz[ladder.gpuHz.length - 1]
const tickMs = 100

const fresh = (budgetWatts = 50): GovernorState => initialState({ atMs: 0, ladder, model, budgetWatts })

type Phase = 'idle' | 'decode' | 'prefill'

function inputs(
  atMs: number,
  over: Partial<Inputs> & { readonly phase?: Phase; readonly budget?: number } = {},
): Inputs {
  const { phase = 'decode', budget = 50, ...rest } = over
  return {
    atMs,
    ladder,
    model,
    limits: { budgetWatts: budget, throttleCelsius: 99, staleAfterMs: 500 },
    reading: { atMs, totalWatts: 20, tjCelsius: 50 },
    load: {
      active: phase === 'idle' ? 0 : 1,
      queued: 0,
      prefillSeconds: phase === 'prefill' ? 0.1 : 0,
      decodeSeconds: phase === 'decode' ? 0.1 : 0,
      intervalSeconds: 0.1,
      decodeWork,
      prefillWork,
    },
    ...rest,
  }
}

interface Row {
  readonly atMs: number
  readonly watts: number
  readonly decision: Decision
  readonly state: GovernorState
}

interface Scenario {
  readonly seconds: number
  /** Plant over model: idle, decode and prefill watts. */
  readonly error?: { readonly idle: number; readonly decode: number; readonly prefill: number }
  readonly phase?: (atMs: number) => Phase
  readonly budget?: (atMs: number) => number
  readonly blind?: (atMs: number) => boolean
}

/** A plant that answers at once to the cap of the tick before; the reading is what it drew in that tick. */
function run(scenario: Scenario): Row[] {
  const { error = { idle: 1, decode: 1, prefill: 1 } } = scenario
  let state = fresh(scenario.budget?.(0) ?? 50)
  let hz = state.decision.gpuHz
  let duty = 1
  const rows: Row[] = []
  for (let atMs = tickMs; atMs <= scenario.seconds * 1000; atMs += tickMs) {
    const phase = scenario.phase?.(atMs - tickMs) ?? 'decode'
    const work = phase === 'prefill' ? prefillWork : decodeWork
    const dynamic = phase === 'idle' ? 0 : error[phase] * workWatts(model, hz, work) * duty
    const watts = error.idle * model.idleWatts + dynamic
    const known = !(scenario.blind?.(atMs) ?? false)
    const next = step(
      state,
      inputs(atMs, {
        phase,
        budget: scenario.budget?.(atMs) ?? 50,
        reading: { atMs, totalWatts: known ? watts : null, tjCelsius: 50 },
      }),
    )
    state = next.state
    hz = next.decision.gpuHz
    duty = next.decision.duty
    rows.push({ atMs, watts, ...next })
  }
  return rows
}

const phases = fc.array(fc.constantFrom<Phase>('idle', 'decode', 'prefill'), { minLength: 1, maxLength: 12 })
const error = fc.record({
  idle: fc.double({ min: 0.7, max: 1.3, noNaN: true }),
  decode: fc.double({ min: 0.7, max: 1.3, noNaN: true }),
  prefill: fc.double({ min: 0.7, max: 1.3, noNaN: true }),
})
const pinned = { seed: 20240607, numRuns: 60 }

t.test('every reason has a sentence with the figures', async (t) => {
  const figures = {
    budgetWatts: 32,
    fromHz: 1_300_500_000,
    toHz: 816_000_000,
    predictedWatts: 30.94,
    measuredWatts: 40,
    tjCelsius: 95,
    throttleCelsius: 99,
    readingAgeMs: 700,
    duty: 0.5,
    capLevel: 1,
    fullLevel: 3,
  }
  for (const [reason, sentence] of Object.entries(reasons)) {
    t.match(sentence(figures), /GPU cap|GPU/, reason)
    t.notMatch(sentence(figures), /NaN|undefined|null/, reason)
  }
  t.equal(reasons.predicted_over_budget(figures), '32.0 W budget: GPU cap 1300 → 816 MHz, predicted 30.9 W')
})

t.test('50 W decode runs near the top, 32 W by the clock alone, at the full level', async (t) => {
  const rows = run({ seconds: 30, budget: (atMs) => (atMs > 15_000 ? 32 : 50) })
  const before = rows.find((row) => row.atMs === 15_000)
  t.ok(before && before.decision.gpuHz >= 1_224_000_000, `${before?.decision.gpuHz} Hz under 50 W`)
  const at = rows.findIndex((row) => row.atMs === 15_100)
  t.equal(rows[at].decision.reason, 'budget_changed')
  t.match(rows[at].decision.explanation, /^new 32\.0 W budget: GPU cap 1\d\d\d → 816 MHz, predicted (29|3[01])\.\d W$/)
  t.ok(
    rows.slice(at + 1).every((row) => row.watts <= 32),
    'under the new budget with the next tick',
  )
  t.ok(rows.every((row) => row.decision.capLevel === 3 && row.decision.duty === 1))
  t.equal(rows[rows.length - 1].decision.ecoLevel, 0, 'the smallest level needs the least joules per token')
})

t.test('always on the ladder, same input same output, one raise per dwell', async (t) => {
  const scenario = fc.record({
    error,
    phases,
    budgets: fc.array(fc.double({ min: 12, max: 60, noNaN: true }), { minLength: 1, maxLength: 4 }),
    blind: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
  })
  const property = fc.property(scenario, ({ error, phases, budgets, blind }) => {
    const arm: Scenario = {
      seconds: 20,
      error,
      phase: (atMs) => phases[Math.floor(atMs / 700) % phases.length],
      budget: (atMs) => budgets[Math.floor(atMs / 5000) % budgets.length],
      blind: (atMs) => blind[Math.floor(atMs / 1900) % blind.length] && blind.length > 3,
    }
    const rows = run(arm)
    let raisedAtMs = Number.NEGATIVE_INFINITY
    let last = fresh().decision
    for (const { atMs, decision, state } of rows) {
      if (!ladder.gpuHz.includes(decision.gpuHz)) throw new Error(`${decision.gpuHz} Hz is not on the ladder`)
      if (!(decision.capLevel >= 0 && decision.capLevel < ladder.shares.length)) throw new Error('no such level')
      if (!(decision.duty > 0 && decision.duty <= 1)) throw new Error(`duty ${decision.duty}`)
      if (state.raisedAtMs === atMs) {
        if (atMs - raisedAtMs < tuning.raiseDwellMs) throw new Error(`two raises within a dwell at ${atMs}`)
        if (ladder.gpuHz.indexOf(decision.gpuHz) !== ladder.gpuHz.indexOf(last.gpuHz) + 1) throw new Error('a jump up')
        raisedAtMs = atMs
      }
      last = decision
    }
    return JSON.stringify(run(arm)) === JSON.stringify(rows)
  })
  t.doesNotThrow(() => fc.assert(property, pinned))
})

t.test('a responsive plant with up to 30 % error is over budget for at most three ticks at a time', async (t) => {
  const property = fc.property(error, phases, fc.double({ min: 25, max: 55, noNaN: true }), (error, phases, budget) => {
    const rows = run({
      seconds: 60,
      error,
      phase: (atMs) => phases[Math.floor(atMs / 900) % phases.length],
      budget: () => budget,
    })
    let streak = 0
    for (const { watts, atMs } of rows) {
      streak = watts > budget ? streak + 1 : 0
      if (streak > 3) throw new Error(`over ${budget} W for ${streak} ticks until ${atMs} ms`)
    }
    return true
  })
  t.doesNotThrow(() => fc.assert(property, pinned))
})

t.test('an ungoverned board would not hold 50 W under prefill', async (t) => {
  t.ok(model.idleWatts + workWatts(model, top, prefillWork) > 50)
})

t.test('it learns a hungrier plant and stays under the budget', async (t) => {
  const rows = run({ seconds: 120, error: { idle: 1.3, decode: 1.3, prefill: 1.3 }, budget: () => 40 })
  const late = rows.filter((row) => row.atMs > 5000)
  const over = late.filter((row) => row.watts > 40)
  t.ok(over.length / late.length <= 0.01, `${over.length} of ${late.length} ticks over budget`)
  t.ok(
    late.every((row) => row.decision.gpuHz > ladder.gpuHz[0]),
    'without falling to the bottom',
  )
})

t.test('it uses a thriftier plant', async (t) => {
  const rows = run({ seconds: 60, error: { idle: 0.8, decode: 0.8, prefill: 0.8 }, budget: () => 32 })
  const end = rows[rows.length - 1]
  t.ok(end.decision.gpuHz > 816_000_000, `${end.decision.gpuHz} Hz`)
  t.ok(end.watts <= 32)
})

t.test('unknown or old telemetry means the safest point; it recovers by itself', async (t) => {
  const rows = run({ seconds: 40, blind: (atMs) => atMs > 15_000 && atMs <= 20_000 })
  const blind = rows.filter((row) => row.atMs > 15_000 && row.atMs <= 20_000)
  t.ok(blind.every((row) => row.decision.gpuHz === ladder.gpuHz[0] && row.decision.reason === 'telemetry_missing'))
  t.ok(
    blind.every((row) => row.decision.capLevel === 3),
    'quality is not lost with the sensor',
  )
  t.ok(rows[rows.length - 1].decision.gpuHz >= 1_224_000_000, 'back at the top')

  const stale = step(fresh(), inputs(1000, { reading: { atMs: 499, totalWatts: 20, tjCelsius: 50 } }))
  t.equal(stale.decision.reason, 'telemetry_stale')
  t.match(stale.decision.explanation, /501 ms old/)
  t.equal(step(fresh(), inputs(1000, { reading: null })).decision.reason, 'telemetry_missing')
})

t.test('idle is the lowest cap; a request brings the feasible point back at once', async (t) => {
  const rows = run({ seconds: 12, phase: (atMs) => (atMs < 5000 || atMs >= 10_000 ? 'decode' : 'idle') })
  const at = (atMs: number) => rows.find((row) => row.atMs === atMs)?.decision
  t.match(at(9900), { reason: 'idle', gpuHz: ladder.gpuHz[0] })
  t.ok((at(10_100)?.gpuHz ?? 0) >= 1_122_000_000, 'with the first tick that sees the request')
})

t.test('measured over budget goes down by the ratio, not by one rung', async (t) => {
  const start = run({ seconds: 10 }).at(-1)
  t.ok(start)
  if (!start) return
  const after = step(start.state, inputs(20_000, { reading: { atMs: 20_000, totalWatts: 80, tjCelsius: 50 } }))
  t.equal(after.decision.reason, 'over_budget')
  const from = ladder.gpuHz.indexOf(start.decision.gpuHz)
  t.ok(ladder.gpuHz.indexOf(after.decision.gpuHz) < from - 2)
  const again = step(after.state, inputs(20_050, { reading: { atMs: 20_040, totalWatts: 80, tjCelsius: 50 } }))
  t.equal(again.decision.gpuHz, after.decision.gpuHz, 'a reading from before the change counts once')
})

t.test('brown-out: pauses and a lower level when the lowest clock is still too much; both come back', async (t) => {
  const rows = run({ seconds: 40, budget: (atMs) => (atMs > 10_000 && atMs <= 20_000 ? 14 : 50) })
  const brown = rows.filter((row) => row.atMs > 10_000 && row.atMs <= 20_000)
  t.ok(brown.every((row) => row.decision.reason === 'brown_out' && row.decision.capLevel < 3))
  t.match(brown[0].decision.explanation, /14\.0 W budget cannot be met by the clock alone/)
  t.ok(brown.slice(1).every((row) => row.watts <= 14))
  t.ok(brown.every((row) => ladder.shares[row.decision.capLevel] <= row.decision.duty || row.decision.capLevel === 0))
  const end = rows[rows.length - 1].decision
  t.match(end, { capLevel: 3, duty: 1 })
})

t.test('close to throttling the cap steps down, and rises again when cool', async (t) => {
  let { state } = run({ seconds: 10 }).at(-1) ?? { state: fresh() }
  const from = state.decision.gpuHz
  const hot = (atMs: number, tjCelsius: number) => {
    const watts = model.idleWatts + workWatts(model, state.decision.gpuHz, decodeWork)
    const next = step(state, inputs(atMs, { reading: { atMs, totalWatts: watts, tjCelsius } }))
    state = next.state
    return next.decision
  }
  const first = hot(20_000, 95)
  t.equal(first.reason, 'thermal')
  t.match(first.explanation, /95\.0 °C is close to throttling at 99 °C/)
  for (let atMs = 20_100; atMs <= 25_000; atMs += tickMs) hot(atMs, 95)
  const low = state.decision.gpuHz
  t.ok(low < from)
  for (let atMs = 25_100; atMs <= 45_000; atMs += tickMs) hot(atMs, 60)
  t.ok(state.decision.gpuHz > low)
})

t.test('one step costs far less than a millisecond', async (t) => {
  let state = fresh()
  const startedAt = process.hrtime.bigint()
  for (let tick = 1; tick <= 2000; tick += 1) state = step(state, inputs(tick * tickMs)).state
  const microseconds = Number(process.hrtime.bigint() - startedAt) / 1e3 / 2000
  t.ok(microseconds < 1000, `${microseconds.toFixed(1)} µs`)
})
