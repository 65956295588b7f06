import fc from 'fast-check'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { totalPower } from '../src/board/reading.ts'
import { stepWork, type Work, workSeconds, workWatts } from '../src/board/work.ts'
import { ranBetween, type TimedWork, worksAfter } from '../src/energy/busy.ts'
import { nextCeiling, rungUnder } from '../src/governor/ceiling.ts'
import { bindingLimit, runningPhases } from '../src/governor/choose.ts'
import { prior, workFeatures } from '../src/governor/features.ts'
import { initialState } from '../src/governor/initial.ts'
import { expected, learn, variance } from '../src/governor/kalman.ts'
import { freshPace, learnPace, stepSeconds } from '../src/governor/pace.ts'
import { freshPlant, predict } from '../src/governor/plant.ts'
import { pointsOf, thriftiest } from '../src/governor/points.ts'
import { reasons } from '../src/governor/reasons.ts'
import { step } from '../src/governor/step.ts'
import { aimWatts, tuning } from '../src/governor/tuning.ts'
import type { Decision, GovernorState, Inputs, Limits, Ran, Sensed } from '../src/governor/types.ts'
import { createWorks } from '../src/governor/works.ts'
import { perturbed } from '../src/twin/perturb.ts'
import { sampledWatts } from '../src/twin/sensors.ts'
import { createVirtualBoard } from '../src/twin/virtual.ts'

const board = findBoard('agx-orin-64gb')
const { model } = board
const ladder = { gpuHz: board.gpu.pointsHz, cpuHz: null, shares: [0.42, 0.6, 0.8, 1] }
const decodeWork: Work = { phase: 'decode', bytes: 3.5e9, flops: 13.2e9 }
const prefillWork: Work = { phase: 'prefill', bytes: 3.5e9, flops: 128 * 13.2e9 }
const works = { decode: decodeWork, prefill: prefillWork }
const bottom = ladder.gpuHz[0]
const top = ladder.gpuHz[ladder.gpuHz.length - 1]
const tickMs = 50
const pinned = { seed: 20240607, numRuns: 40 }

type Phase = 'idle' | 'decode' | 'prefill'

const fresh = (budgetWatts = 50): GovernorState =>
  initialState({ atMs: 0, ladder, budgetWatts, idleWatts: model.idleWatts })

interface Now {
  readonly phase?: Phase
  readonly limits?: Partial<Limits>
  readonly reading?: Partial<Sensed> | null
  readonly gpuCapHz?: number | null
  readonly stepSeconds?: number | null
}

function inputs(state: GovernorState, atMs: number, now: Now = {}): Inputs {
  const { phase = 'decode', stepSeconds: seconds = null } = now
  const share = (kind: Phase): number => (phase === kind ? (state.decision.duty * tickMs) / 1000 : 0)
  return {
    atMs,
    ladder,
    model,
    limits: {
      budgetWatts: 50,
      throttleCelsius: 99,
      staleAfterMs: 500,
      tokenSeconds: 0,
      firstTokenSeconds: 1,
      maxSequences: 4,
      hold: null,
      ...now.limits,
    },
    reading: now.reading === null ? null : { atMs, totalWatts: 20, tjCelsius: 50, ...now.reading },
    gpuCapHz: now.gpuCapHz === undefined ? state.decision.gpuHz : now.gpuCapHz,
    load: {
      active: phase === 'idle' ? 0 : 1,
      queued: 0,
      prefilling: phase === 'prefill' ? 1 : 0,
      promptTokens: phase === 'prefill' ? 1000 : 0,
      sequenceBytes: 0.1e9,
      intervalSeconds: tickMs / 1000,
      told: null,
      decode: { work: decodeWork, seconds: share('decode'), stepSeconds: phase === 'decode' ? seconds : null },
      prefill: {
        work: prefillWork,
        seconds: share('prefill'),
        stepSeconds: phase === 'prefill' ? seconds : null,
        tokens: 128,
      },
    },
  }
}

interface Row {
  readonly atMs: number
  readonly phase: Phase
  readonly watts: number
  readonly decision: Decision
  readonly state: GovernorState
}

interface Arm {
  readonly seconds: number
  readonly plant?: typeof board
  readonly phase?: (atMs: number) => Phase
  readonly budget?: (atMs: number) => number
  readonly now?: (atMs: number, watts: number) => Now
  readonly limits?: Partial<Limits>
  readonly from?: GovernorState
  /** A clock the board keeps whatever it is told. */
  readonly stubbornHz?: number
}

/** A plant that answers at once to the cap of the tick before; its reading has the steps of 0.1 W. */
function run(arm: Arm): Row[] {
  const truth = (arm.plant ?? board).model
  let state = arm.from ?? fresh(arm.budget?.(0) ?? 50)
  const startMs = state.atMs
  const rows: Row[] = []
  for (let atMs = startMs + tickMs; atMs <= startMs + arm.seconds * 1000; atMs += tickMs) {
    const phase = arm.phase?.(atMs - tickMs) ?? 'decode'
    const { duty } = state.decision
    const gpuHz = arm.stubbornHz ?? state.decision.gpuHz
    const dynamic = phase === 'idle' ? 0 : workWatts(truth, gpuHz, works[phase]) * duty
    const watts = truth.idleWatts + dynamic
    const now = arm.now?.(atMs, watts) ?? {}
    const budgetWatts = arm.budget?.(atMs) ?? 50
    const wobble = 0.1 * ((atMs / tickMs) % 3)
    const next = step(
      state,
      inputs(state, atMs, {
        phase,
        stepSeconds: phase === 'idle' ? null : workSeconds(truth, gpuHz, works[phase]),
        ...(arm.stubbornHz === undefined ? {} : { gpuCapHz: arm.stubbornHz }),
        ...now,
        limits: { budgetWatts, ...arm.limits, ...now.limits },
        reading: now.reading === null ? null : { totalWatts: Math.round(watts * 10) / 10 + wobble, ...now.reading },
      }),
    )
    state = next.state
    rows.push({ atMs, phase, watts, ...next })
  }
  return rows
}

const last = (rows: readonly Row[]): Row => rows[rows.length - 1]
const reasonsOf = (rows: readonly Row[]): string[] => [...new Set(rows.map(({ decision }) => decision.reason))]

t.test(
  'a late step judges no sensor by what ran meanwhile; one in time does, and so does a late one at rest',
  async (t) => {
    const settled = last(run({ seconds: 4 })).state
    const idle = last(run({ seconds: 4, phase: () => 'idle' })).state
    const after = (state: GovernorState, ms: number, phase: Phase, totalWatts: number) => {
      const atMs = state.atMs + ms
      return step(state, inputs(state, atMs, { phase, reading: { totalWatts } })).decision
    }
    const rest = model.idleWatts + 0.2
    t.ok(after(settled, tickMs, 'decode', rest).conditions.includes('telemetry_implausible'))
    t.notOk(
      after(settled, 300, 'decode', rest).conditions.includes('telemetry_implausible'),
      'it may be between answers',
    )
    const running = inputs(settled, settled.atMs + tickMs, { phase: 'decode', reading: { totalWatts: rest } })
    const untold = { ...running.load, decode: { ...running.load.decode, seconds: 0, stepSeconds: null } }
    t.notOk(
      step(settled, { ...running, load: untold }).decision.conditions.includes('telemetry_implausible'),
      'a run longer than a tick is told of when it ends',
    )
    t.ok(after(idle, 1000, 'idle', 40).conditions.includes('telemetry_implausible'), 'a second is no delay at rest')
    const recovered = after(
      step(settled, inputs(settled, settled.atMs + tickMs, { reading: { totalWatts: rest } })).state,
      100,
      'idle',
      rest,
    )
    t.match(recovered.explanation, /a moment ago|cannot be true at about/)
  },
)

t.test('a reading is judged by what ran under it, as soon as that is told', async (t) => {
  const settled = last(run({ seconds: 4 })).state
  const rest = { totalWatts: model.idleWatts + 0.2 }
  const accused = (state: GovernorState) => state.health.fault === 'telemetry_implausible'
  const busy = { decodeSeconds: tickMs / 1000, prefillSeconds: 0, late: false }
  /** A step in which nothing was told of the last `untoldMs`, and what is known of the stretches before. */
  const after = (
    state: GovernorState,
    untoldMs: number,
    now: { last: Ran; before?: Ran; reading?: Partial<Sensed> },
  ) => {
    const atMs = state.atMs + tickMs
    const { reading, load, ...others } = inputs(state, atMs, { reading: now.reading })
    const seconds = now.last.decodeSeconds
    const earlier = state.recent.map((_, i) => (i === state.recent.length - 1 ? (now.before ?? busy) : busy))
    const told = { untilMs: atMs - untoldMs, late: now.last.late, earlier }
    return step(state, { ...others, reading, load: { ...load, told, decode: { ...load.decode, seconds } } }).state
  }
  const none = { ...busy, decodeSeconds: 0 }
  const work = { totalWatts: settled.health.watts ?? Number.NaN }
  t.ok(accused(after(settled, 0, { last: busy, reading: rest })), 'all is told: it cannot be true')
  t.notOk(accused(after(settled, 0, { last: { ...busy, late: true }, reading: rest })), 'told too late for the sensor')

  // Of a run longer than a tick a daemon hears at its end (on a real board), of a pause when the next one begins.
  const doubtful = after(settled, tickMs, { last: none, reading: rest })
  t.notOk(accused(doubtful), 'a run may be under way')
  t.equal(doubtful.waiting.length, 1)
  t.ok(accused(after(doubtful, 0, { last: busy, before: busy, reading: work })), 'it ran: found out a tick later')
  t.notOk(accused(after(doubtful, 0, { last: none, before: none, reading: rest })), 'it did not')
  const ran = after(after(settled, tickMs, { last: none, reading: work }), 0, { last: busy, reading: work })
  t.notOk(accused(ran), 'it ran, and the sensor had shown it')
  t.same(ran.waiting, [])

  let silent = doubtful
  for (let i = 2; i < 9; i += 1) silent = after(silent, i * tickMs, { last: none, before: none, reading: rest })
  t.notOk(accused(silent), 'what is never told accuses nobody')
  t.ok(
    silent.waiting.every(({ atMs }) => silent.atMs - atMs <= tuning.waitMs),
    'and waits no longer than that',
  )
})

/** A board as a daemon sees it whose engine tells of each run when it ends, as on a Jetson: real steps, answer after answer. */
function toldAtTheEnd(seconds: number, budgetWatts: number): readonly GovernorState[] {
  const cost = { weightBytes: [1.5e9, 2.2e9, 3e9, 3.6e9], kvBytesPerContextToken: 524_288, flopsPerToken: 13.2e9 }
  const plant = createVirtualBoard({ board })
  const worksOf = createWorks(cost)
  const states = [fresh(budgetWatts)]
  let works: readonly TimedWork[] = []
  let freeAtMs = 0
  let [promptLeft, answerLeft, contextTokens] = [0, 0, 0]
  for (let atMs = tickMs; atMs <= seconds * 1000; atMs += tickMs) {
    const state = states[states.length - 1]
    const { prefillChunk, duty } = state.decision
    for (; freeAtMs < atMs; contextTokens += 1) {
      if (promptLeft + answerLeft === 0) [promptLeft, answerLeft, contextTokens] = [200, 64, 0]
      const phase = promptLeft > 0 ? 'prefill' : 'decode'
      const tokens = phase === 'prefill' ? Math.min(promptLeft, prefillChunk) : 1
      const work = stepWork(cost, { phase, level: 3, tokens, contextTokens })
      const run = { phase, startedAtMs: freeAtMs, seconds: workSeconds(model, plant.gpuHz(), work), parts: [] } as const
      plant.addStep({ ...run, work })
      works = [...worksAfter(works, atMs - 500), run]
      if (phase === 'prefill') promptLeft -= tokens
      else answerLeft -= 1
      freeAtMs += (run.seconds / duty) * 1000
    }
    plant.run(atMs)
    const ended = works.filter((work) => work.startedAtMs + work.seconds * 1000 <= atMs)
    const ran = (fromMs: number, toMs: number) => ({ ...ranBetween(ended, fromMs, toMs), late: false })
    const untilMs = ended.reduce((latest, work) => Math.max(latest, work.startedAtMs + work.seconds * 1000), 0)
    const busy = ran(state.atMs, atMs)
    const work = worksOf({ level: 3, sequences: 1, contextTokens, prefillChunk })
    const { totalWatts } = totalPower(board, sampledWatts(plant.sensed().rails ?? []))
    const now = inputs(state, atMs, { reading: { totalWatts }, limits: { budgetWatts }, gpuCapHz: plant.gpuCapHz() })
    const next = step(state, {
      ...now,
      load: {
        ...now.load,
        prefilling: promptLeft > 0 ? 1 : 0,
        promptTokens: promptLeft,
        told: { untilMs, late: false, earlier: state.recent.map((one) => ran(one.fromMs, one.untilMs)) },
        decode: { work: work.decode, seconds: busy.decodeSeconds, stepSeconds: null },
        prefill: { work: work.prefill, seconds: busy.prefillSeconds, stepSeconds: null, tokens: prefillChunk },
      },
    })
    plant.setGpuCap(next.decision.gpuHz)
    states.push(next.state)
  }
  return states
}

t.test('runs that are told of when they end: no sensor is accused, and the plant is learned as it is', async (t) => {
  for (const [budgetWatts, leastHz] of [
    [50, 1_100_000_000],
    [30, 600_000_000],
  ]) {
    const states = toldAtTheEnd(60, budgetWatts)
    t.same([...new Set(states.slice(1).map(({ health }) => health.fault))], [null], `${budgetWatts} W: no fault`)
    const { plant, decision } = states[states.length - 1]
    t.ok(decision.gpuHz >= leastHz, `${budgetWatts} W are used: ${decision.gpuHz / 1e6} MHz`)
    const learned = predict(plant, workFeatures(model, decision.gpuHz, decodeWork)).watts
    const truth = model.idleWatts + workWatts(model, decision.gpuHz, decodeWork)
    t.ok(Math.abs(learned / truth - 1) < 0.1, `${learned} W for ${truth} W`)
    t.ok(plant.fast.mean[0] < 1.5, `idle ${plant.fast.mean[0]} times the model's`)
  }
})

t.test('every reason has a sentence with the figures', async (t) => {
  const figures = {
    budgetWatts: 32,
    fromHz: 1_300_500_000,
    toHz: 816_000_000,
    predictedWatts: 30.94,
    measuredWatts: 40,
    expectedWatts: 20,
    tjCelsius: 95,
    throttleCelsius: 99,
    readingAgeMs: 700,
    duty: 0.5,
    capLevel: 1,
    fullLevel: 3,
    boardHz: 1_300_500_000,
    tokenSeconds: 0.05,
  }
  for (const [reason, sentence] of Object.entries(reasons)) {
    t.match(sentence(figures), /GPU cap|GPU/, reason)
    t.notMatch(sentence(figures), /NaN|undefined|null/, reason)
  }
  t.equal(reasons.predicted_over_budget(figures), '32.0 W budget: GPU cap 1300 → 816 MHz, predicted 30.9 W')
})

t.test('the estimate: what is measured becomes known, what is not stays uncertain', async (t) => {
  const decode = workFeatures(model, top, decodeWork)
  const prefill = workFeatures(model, top, prefillWork)
  let estimate = prior
  const bounds = { least: 0.2, most: 4, doubt: 0.05 }
  for (let i = 0; i < 50; i += 1) estimate = learn(estimate, decode, 1.2 * expected(prior, decode), 0.1, bounds)
  t.ok(Math.abs(expected(estimate, decode) / expected(prior, decode) - 1.2) < 0.01)
  t.ok(variance(estimate, decode) < 0.01)
  t.ok(expected(estimate, prefill) > expected(prior, prefill), 'a hungrier GPU is hungrier in prompts too')
  t.ok(variance(estimate, prefill) > 4, 'but how much is not known')
})

t.test('the pace: both parts of the roofline are learned', async (t) => {
  const slow = { ...model, coreBytesPerSmGhz: 0.75 * model.coreBytesPerSmGhz }
  let pace = freshPace
  for (let i = 0; i < 200; i += 1) {
    const gpuHz = ladder.gpuHz[(i * 3) % 8]
    pace = learnPace(model, pace, { gpuHz, work: decodeWork, seconds: workSeconds(slow, gpuHz, decodeWork) })
  }
  for (const gpuHz of ladder.gpuHz) {
    const ratio = stepSeconds(model, pace, gpuHz, decodeWork) / workSeconds(slow, gpuHz, decodeWork)
    t.ok(Math.abs(ratio - 1) < 0.02, `${gpuHz / 1e6} MHz: ${ratio.toFixed(3)}`)
  }
})

t.test('the thriftiest point: idle watts decide between pace and race', async (t) => {
  const points = pointsOf(ladder, { model, plant: freshPlant, pace: freshPace }, decodeWork)
  const at = (aim: Partial<Parameters<typeof thriftiest>[2]>) =>
    ladder.gpuHz[thriftiest(points, 10, { seconds: 1, idleWatts: model.idleWatts, backlog: 0, ...aim })]
  t.ok(at({}) < at({ backlog: 1 }), 'with requests waiting a shorter step saves idle watts')
  t.ok(at({ seconds: 0.03 }) > at({}), 'a tighter target needs a higher clock')
  t.equal(at({ seconds: 0 }), top, 'no step is in time: the fastest')
  t.equal(thriftiest(points, 3, { seconds: 0, idleWatts: 0, backlog: 0 }), 3, 'within what is allowed')
})

t.test('a ceiling falls at once, rises by one rung per dwell, and rests in between', async (t) => {
  const points = pointsOf(ladder, { model, plant: freshPlant, pace: freshPace }, decodeWork)
  const room = { atMs: 5000, budgetWatts: 30, mayRaise: true }
  const high = nextCeiling({ rung: 10, raisedAtMs: 0 }, points, room)
  t.equal(high.reason, 'predicted_over_budget')
  t.ok(high.ceiling.rung < 6 && points[high.ceiling.rung].mostWatts <= 30)
  t.match(nextCeiling({ rung: 0, raisedAtMs: 0 }, points, room), {
    reason: 'recovering',
    ceiling: { rung: 1, raisedAtMs: 5000 },
  })
  t.match(nextCeiling({ rung: 0, raisedAtMs: 4600 }, points, room), { reason: 'dwell', ceiling: { rung: 0 } })
  t.match(nextCeiling({ rung: 0, raisedAtMs: 0 }, points, { ...room, mayRaise: false }), { reason: 'dwell' })
  t.equal(rungUnder({ hz: ladder.gpuHz[4], untilMs: 10, holdMs: 5 }, ladder.gpuHz, 9), 3)
  t.equal(rungUnder({ hz: ladder.gpuHz[4], untilMs: 10, holdMs: 5 }, ladder.gpuHz, 10), 10)
})

t.test('the lowest limit decides; of equal ones the first', async (t) => {
  const limits = [
    { rung: 4, reason: 'thermal' as const },
    { rung: 3, reason: 'least_energy' as const },
    { rung: 3, reason: 'dwell' as const },
  ]
  t.same(bindingLimit(limits, 10), { rung: 3, reason: 'least_energy' })
  t.same(bindingLimit([], 10), { rung: 10, reason: 'within_budget' })
  const load = (over: Partial<Inputs['load']>) => ({
    ...inputs(fresh(), 0),
    load: { ...inputs(fresh(), 0).load, ...over },
  })
  t.same(runningPhases(load({ active: 2, prefilling: 0 })), ['decode'])
  t.same(runningPhases(load({ active: 2, prefilling: 1 })), ['prefill', 'decode'])
  t.same(runningPhases(load({ active: 1, queued: 1 })), ['prefill', 'decode'], 'a prompt may begin at any moment')
  t.same(runningPhases(load({ active: 4, queued: 1 })), ['decode'], 'no place is free')
})

t.test('as fast as 50 W allow, 32 W by the clock alone, at the full level', async (t) => {
  const rows = run({ seconds: 40, budget: (atMs) => (atMs > 20_000 ? 32 : 50) })
  t.ok((rows.find((row) => row.atMs === 20_000)?.decision.gpuHz ?? 0) >= 1_224_000_000)
  const at = rows.findIndex((row) => row.atMs > 20_000)
  t.equal(rows[at].decision.reason, 'budget_changed')
  t.match(rows[at].decision.explanation, /^new 32\.0 W budget: GPU cap 1\d\d\d → \d+ MHz, predicted (29|3[01])\.\d W$/)
  t.ok(
    rows.slice(at + 1).every((row) => row.watts <= 32),
    'under the new budget with the next tick',
  )
  t.ok(rows.every((row) => row.decision.capLevel === 3 && row.decision.duty === 1))
  t.equal(last(rows).decision.ecoLevel, 0, 'the smallest level needs the least joules per token')
})

t.test('with a latency target it takes the least joules, and no more clock than that', async (t) => {
  const slow = last(run({ seconds: 30, limits: { tokenSeconds: 0.05 } })).decision
  t.equal(slow.reason, 'least_energy')
  t.ok(slow.gpuHz < 800e6 && workSeconds(model, slow.gpuHz, decodeWork) < 0.05)
  const quick = last(run({ seconds: 30, limits: { tokenSeconds: 0.03 } })).decision
  t.equal(quick.reason, 'latency_target')
  t.ok(quick.gpuHz > slow.gpuHz && workSeconds(model, quick.gpuHz, decodeWork) <= 0.03)
})

t.test('prompts and answers have caps of their own', async (t) => {
  const rows = run({ seconds: 60, phase: (atMs) => (atMs % 4000 < 800 ? 'prefill' : 'decode'), budget: () => 38 })
  const settled = rows.filter((row) => row.atMs > 40_000)
  const hz = (phase: Phase) =>
    Math.min(
      ...settled.filter((row) => row.phase === phase && row.state.atMs % 4000 > 100).map((r) => r.decision.gpuHz),
    )
  t.ok(hz('prefill') < hz('decode'), `${hz('prefill') / 1e6} and ${hz('decode') / 1e6} MHz`)
  t.ok(settled.every((row) => row.watts <= 38))
})

t.test('always on the ladder, same input same output, no ceiling twice up in a dwell, always back', async (t) => {
  const scenario = fc.record({
    seed: fc.integer({ min: 1, max: 1e6 }),
    phases: fc.array(fc.constantFrom<Phase>('idle', 'decode', 'prefill'), { minLength: 1, maxLength: 12 }),
    budgets: fc.array(fc.double({ min: 12, max: 60, noNaN: true }), { minLength: 1, maxLength: 4 }),
    blind: fc.array(fc.boolean(), { minLength: 4, maxLength: 6 }),
    tokenSeconds: fc.constantFrom(0, 0.03, 0.05),
  })
  const property = fc.property(scenario, ({ seed, phases, budgets, blind, tokenSeconds }) => {
    const arm: Arm = {
      seconds: 20,
      plant: perturbed(board, 0.3, seed),
      phase: (atMs) => phases[Math.floor(atMs / 700) % phases.length],
      budget: (atMs) => budgets[Math.floor(atMs / 5000) % budgets.length],
      limits: { tokenSeconds },
      now: (atMs) => (blind[Math.floor(atMs / 1900) % blind.length] ? { reading: { totalWatts: null } } : {}),
    }
    const rows = run(arm)
    let before = fresh().ceilings
    for (const { decision, state, atMs } of rows) {
      if (!ladder.gpuHz.includes(decision.gpuHz)) throw new Error(`${decision.gpuHz} Hz is not on the ladder`)
      if (!(decision.capLevel >= 0 && decision.capLevel < ladder.shares.length)) throw new Error('no such level')
      if (!(decision.duty > 0 && decision.duty <= 1)) throw new Error(`duty ${decision.duty}`)
      if (!(decision.concurrency >= 1 && decision.concurrency <= 4)) throw new Error(`${decision.concurrency} answers`)
      for (const phase of ['decode', 'prefill'] as const) {
        const rise = state.ceilings[phase].rung - before[phase].rung
        if (rise > 1) throw new Error(`${phase} jumped up at ${atMs}`)
        if (rise === 1 && atMs - before[phase].raisedAtMs < tuning.raiseDwellMs)
          throw new Error('two raises in a dwell')
      }
      before = state.ceilings
    }
    if (JSON.stringify(run(arm)) !== JSON.stringify(rows)) return false
    const rest = run({ seconds: 15, plant: arm.plant, from: last(rows).state, limits: { tokenSeconds: 0.05 } })
    return last(rest).decision.gpuHz > bottom && last(rest).decision.duty === 1 && last(rest).decision.capLevel === 3
  })
  t.doesNotThrow(() => fc.assert(property, pinned))
})

t.test('a plant with every coefficient up to 30 % off stays within the budget', async (t) => {
  const property = fc.property(
    fc.integer({ min: 1, max: 1e6 }),
    fc.array(fc.constantFrom<Phase>('idle', 'decode', 'prefill'), { minLength: 1, maxLength: 12 }),
    fc.double({ min: 28, max: 55, noNaN: true }),
    (seed, phases, budget) => {
      const rows = run({
        seconds: 60,
        plant: perturbed(board, 0.3, seed),
        phase: (atMs) => phases[Math.floor(atMs / 900) % phases.length],
        budget: () => budget,
      })
      let streak = 0
      for (const { watts, atMs } of rows) {
        streak = watts > 1.02 * budget ? streak + 1 : 0
        // The tick in which a phase begins still has the cap of the one before.
        if (streak > 4) throw new Error(`over ${budget} W for ${streak} ticks until ${atMs} ms (seed ${seed})`)
      }
      return rows.filter((row) => row.watts > budget).length < 0.03 * rows.length
    },
  )
  t.doesNotThrow(() => fc.assert(property, pinned))
})

t.test('hostile inputs: no exception, no NaN, always a point of the ladder', async (t) => {
  const wild = fc.oneof(
    fc.double(),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -1, 1e300),
  )
  const property = fc.property(
    fc.array(fc.array(wild, { minLength: 12, maxLength: 12 }), { maxLength: 20 }),
    (rows) => {
      let state = fresh()
      for (const [i, w] of rows.entries()) {
        const now = inputs(state, (i + 1) * tickMs, {
          reading: { totalWatts: w[0], tjCelsius: w[1], atMs: w[2] },
          gpuCapHz: w[3],
          limits: { budgetWatts: w[4], tokenSeconds: w[5] },
        })
        const decode = { work: { ...decodeWork, bytes: w[6] }, seconds: w[7], stepSeconds: w[8] }
        const load = { ...now.load, active: w[9], promptTokens: w[10], sequenceBytes: w[11], decode }
        const next = step(state, { ...now, load })
        state = next.state
        const { gpuHz, duty, capLevel, predictedWatts, concurrency, prefillChunk } = next.decision
        if (!ladder.gpuHz.includes(gpuHz) || !ladder.shares[capLevel]) return false
        for (const value of [duty, predictedWatts, concurrency, prefillChunk]) if (!Number.isFinite(value)) return false
        if (state.plant.fast.mean.some((value) => !Number.isFinite(value))) return false
      }
      return true
    },
  )
  t.doesNotThrow(() => fc.assert(property, { ...pinned, numRuns: 200 }))
})

t.test('unknown, old, stuck and impossible readings mean the safest point; it recovers by itself', async (t) => {
  const fault = (
    from: number,
    reading: (atMs: number, watts: number) => Partial<Sensed> | null,
    phase?: Arm['phase'],
  ) =>
    run({
      seconds: 45,
      phase,
      now: (atMs, watts) => (atMs > from && atMs <= from + 6000 ? { reading: reading(atMs, watts) } : {}),
    })
  const rows = {
    telemetry_missing: fault(20_000, () => ({ totalWatts: null })),
    telemetry_stale: fault(20_000, () => ({ atMs: 20_000 })),
    telemetry_stuck: fault(20_000, () => ({ totalWatts: 44 })),
    telemetry_implausible: fault(20_000, (atMs, watts) => ({ totalWatts: atMs % 500 === 0 ? 3 * watts : watts })),
  }
  for (const [reason, row] of Object.entries(rows)) {
    const first = row.find((r) => r.decision.reason === reason)
    t.ok(first && first.atMs <= 21_000, `${reason} seen after ${(first?.atMs ?? Number.NaN) - 20_000} ms`)
    t.match(first?.decision, { gpuHz: bottom, capLevel: 3, conditions: [reason] })
    t.ok(last(row).decision.gpuHz >= 1_122_000_000, `${reason}: back at ${last(row).decision.gpuHz / 1e6} MHz`)
  }
  t.match(step(fresh(), inputs(fresh(), 1000, { reading: null })).decision, { reason: 'telemetry_missing' })
})

t.test('a sensor that drifts low is not believed', async (t) => {
  const gain = (atMs: number): number => (atMs < 60_000 ? 1 : Math.max(0.75, 1 - (atMs - 60_000) / 120_000))
  const rows = run({
    seconds: 100,
    budget: () => 40,
    now: (atMs, watts) => ({ reading: { totalWatts: gain(atMs) * (watts + 0.1 * (atMs % 3)) } }),
  })
  t.ok(
    rows.filter((row) => row.atMs > 10_000).every((row) => row.watts <= 1.02 * 40),
    'the true power stays',
  )
  t.ok(reasonsOf(rows).includes('telemetry_drift'))
})

t.test('a sensor that has drifted teaches nothing until it is right again', async (t) => {
  const rows = run({
    seconds: 150,
    budget: () => 40,
    now: (atMs, watts) => {
      const gain = atMs < 60_000 || atMs > 110_000 ? 1 : Math.max(0.75, 1 - (atMs - 60_000) / 120_000)
      return { reading: { totalWatts: gain * (watts + 0.1 * (atMs % 3)) } }
    },
  })
  const drift = rows.filter((row) => row.state.health.driftSinceMs !== null)
  const [first, end] = [drift[0], last(drift)]
  t.same(end.state.plant.slow, first.state.plant.slow, 'what was known stays as it was')
  t.ok(rows.filter((row) => row.atMs > 10_000).every((row) => row.watts <= 1.02 * 40))
  t.ok(end.atMs > 110_000 && end.atMs < 145_000, `trusted again at ${end.atMs} ms`)
})

t.test('idle is the lowest cap; a request brings the ceiling back at once', async (t) => {
  const rows = run({ seconds: 26, phase: (atMs) => (atMs < 20_000 || atMs >= 25_000 ? 'decode' : 'idle') })
  const at = (atMs: number) => rows.find((row) => row.atMs === atMs)?.decision
  t.match(at(24_900), { reason: 'idle', gpuHz: bottom })
  t.ok((at(25_050)?.gpuHz ?? 0) >= 1_122_000_000, 'with the first tick that sees the request')
})

t.test('measured over budget goes down at once, and the cap is barred for a while', async (t) => {
  const start = last(run({ seconds: 20 }))
  const over = inputs(start.state, 20_050, { reading: { totalWatts: 56 } })
  const after = step(start.state, over)
  t.equal(after.decision.reason, 'over_budget')
  t.ok(after.decision.gpuHz < start.decision.gpuHz)
  t.ok(after.decision.conditions.includes('over_budget'))
  t.match(after.state.barred, { hz: start.decision.gpuHz })
  const again = step(after.state, inputs(after.state, 20_100, { reading: { totalWatts: 56, atMs: 20_090 } }))
  t.equal(again.decision.gpuHz, after.decision.gpuHz, 'a reading from before the change counts once')
})

t.test('brown-out: pauses and a lower level when the lowest clock is still too much; both come back', async (t) => {
  const rows = run({ seconds: 60, budget: (atMs) => (atMs > 20_000 && atMs <= 30_000 ? 14 : 50) })
  const brown = rows.filter((row) => row.atMs > 20_000 && row.atMs <= 30_000)
  t.ok(brown.every((row) => row.decision.reason === 'brown_out' && row.decision.capLevel < 3))
  t.match(brown[0].decision.explanation, /14\.0 W budget cannot be met by the clock alone/)
  t.ok(brown.slice(1).every((row) => row.watts <= 14))
  t.match(last(rows).decision, { capLevel: 3, duty: 1 })
})

t.test('a board that does not take the cap: pauses hold the budget', async (t) => {
  const rows = run({ seconds: 10, stubbornHz: top, budget: () => 30 })
  t.ok(rows.filter((r) => r.atMs > 400).every((r) => r.decision.reason === 'clock_refused' && r.decision.duty < 1))
  const atTop = model.idleWatts + last(rows).decision.duty * workWatts(model, top, decodeWork)
  t.ok(atTop <= 30, `${atTop.toFixed(1)} W at the clock the board really has`)
  t.match(last(rows).decision.explanation, /stays at 1300 MHz and does not take the GPU cap/)
  t.match(step(fresh(), inputs(fresh(), 100, { gpuCapHz: null })).state.gpuHz, top, 'a cap nobody can read may be any')
})

t.test('heat and over-current take a point off, and give it back', async (t) => {
  const warm = run({ seconds: 20 })
  const hot = run({ seconds: 5, from: last(warm).state, now: () => ({ reading: { tjCelsius: 95 } }) })
  t.equal(hot.at(1)?.decision.reason, 'thermal')
  t.match(hot.at(1)?.decision.explanation, /95\.0 °C is close to throttling at 99 °C/)
  t.ok(last(hot).decision.gpuHz < last(warm).decision.gpuHz)
  t.equal(last(run({ seconds: 15, from: last(hot).state })).decision.gpuHz, last(warm).decision.gpuHz)

  const counted = run({
    seconds: 31,
    from: last(warm).state,
    now: (atMs) => ({ reading: { overCurrentEvents: atMs < 20_500 ? 7 : 8 } }),
  })
  const first = counted.find((row) => row.decision.reason === 'over_current')
  t.equal(first?.atMs, 20_500)
  t.equal(ladder.gpuHz.indexOf(first?.decision.gpuHz ?? 0), ladder.gpuHz.indexOf(last(warm).decision.gpuHz) - 1)
  t.equal(last(counted).decision.gpuHz, last(warm).decision.gpuHz, 'tried again after half a minute')
})

t.test('a hold pins the point, never above what is allowed', async (t) => {
  const hold = { gpuHz: 510e6, level: 1 }
  const held = last(run({ seconds: 15, limits: { hold } })).decision
  t.match(held, { gpuHz: 510_000_000, capLevel: 1, reason: 'hold', duty: 1 })
  const level = last(run({ seconds: 30, limits: { hold: { gpuHz: null, level: 1 }, tokenSeconds: 0.05 } })).decision
  t.match(level, { capLevel: 1, reason: 'hold', explanation: /^held by hand: level 1 of 3, GPU cap/ }, 'a level alone')
  const capped = last(run({ seconds: 15, limits: { hold: { gpuHz: top, level: null } }, budget: () => 30 }))
  t.ok(capped.watts <= 30 && capped.decision.gpuHz < top)
  const pinned = { gpuHz: top, level: null }
  const blind = last(
    run({
      seconds: 15,
      limits: { hold: pinned },
      now: (atMs) => (atMs > 10_000 ? { reading: { totalWatts: null } } : {}),
    }),
  )
  t.match(blind.decision, { reason: 'telemetry_missing', gpuHz: ladder.gpuHz[0] }, 'nor without sensors')
  const hot = last(
    run({
      seconds: 15,
      limits: { hold: pinned },
      now: (atMs) => (atMs > 10_000 ? { reading: { tjCelsius: 98 } } : {}),
    }),
  )
  t.ok(hot.decision.gpuHz < top && hot.decision.reason === 'thermal', 'nor in the heat')
})

t.test('aim: less than the budget, and something even of a small one', async (t) => {
  t.equal(aimWatts(50), 50 - 0.75)
  t.equal(aimWatts(10), 9.7)
})
