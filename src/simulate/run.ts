import { workSeconds } from '../board/work.ts'
import type { Inputs } from '../governor/types.ts'
import { createWorks } from '../governor/works.ts'
import { uniform } from '../twin/noise.ts'
import { tjCelsius } from '../twin/plant.ts'
import { createVirtualBoard } from '../twin/virtual.ts'
import { createEngine } from './engine.ts'
import { type Figures, figuresOf } from './figures.ts'
import { createLaw, ladderOf, unordered } from './laws.ts'
import { createMeasure, rowMs } from './measure.ts'
import type { Flying, Pending, SimulationOptions } from './options.ts'
import { createSensor } from './sensor.ts'

/** The daemon's rates (daemon/cadence.ts): 20 Hz while something runs and for a second after it, slow when nothing does. */
const busyTickMs = 50
const idleTickMs = 1000
const lingerMs = 1000
/** From the decision until the GPU has the cap: a write to sysfs and a request to the firmware; assumed. */
const actuationMs = 5
/** How late a timer fires at most, assumed: without it ticks and refreshes would keep step. */
const timerLateMs = 2
/** From the engine's word of a new phase or an arrival until the loop decides; assumed. */
const wakeMs = 1

/**
 * The daemon, its engine and the board in virtual time: events in order, nothing waits. The law gets what the real one
 * gets: the board's nominal model, quantised and late readings, and what the engine says.
 */
export function simulate(options: SimulationOptions): Figures {
  const { board, cost, scenario, budgetWatts, maxSequences } = options
  const endMs = options.seconds * 1000
  const { seed, plantError } = options
  const plant = createVirtualBoard({
    board,
    seed,
    plantError,
    ambientCelsius: (atMs) => scenario.ambientCelsius?.(atMs, options.ambientCelsius) ?? options.ambientCelsius,
    faults: scenario.faults?.(endMs) ?? [],
  })
  const sensor = createSensor(options.sensor, board, plant)
  const engine = createEngine({ cost, policy: options.policy, maxSequences })
  const law = createLaw(options.governor, { board, truth: plant.board(), shares: options.shares, budgetWatts })
  const measure = createMeasure()
  const [late, random] = [uniform(options.seed + 1), uniform(options.seed * 7919 + 17)]
  const requests = scenario.requests(random, endMs)
  const budgetAt = (atMs: number) => budgetWatts * (scenario.budgetShare?.(atMs, endMs) ?? 1)
  const full = cost.weightBytes.length - 1

  let now = 0
  let joules = 0
  let rowJoules = 0
  let next = requests.next().value ?? undefined
  let freeAtMs = 0
  const pending: Pending = { run: null, cap: null }
  let tickAtMs = 0
  let busyAtMs = 0
  let rowAtMs: number = rowMs
  let budget = budgetAt(0)
  let lastTickMs = 0
  let ticks = 0
  let throttled = { events: 0, was: false }
  const busySeconds = { decode: 0, prefill: 0 }
  const measured: Record<'decode' | 'prefill', number | null> = { decode: null, prefill: null }
  let orders = unordered(board, full, maxSequences)
  let clock = { hz: plant.gpuHz(), sinceMs: 0 }

  /** What the daemon reads back: the cap, or the clock itself where the board does not keep to it. */
  const clockHz = (): number => (plant.sensed().throttling ? plant.gpuHz() : Math.max(plant.gpuHz(), plant.gpuCapHz()))

  const wake = (): void => {
    tickAtMs = Math.min(tickAtMs, now + wakeMs)
  }

  /** Time passes; the run under way advances by it, at the clock of the moment. */
  const advance = (toMs: number): void => {
    if (toMs <= now) return
    const flying = pending.run
    if (flying !== null) {
      const seconds = (toMs - now) / 1000
      const share = Math.min(flying.leftShare, seconds / flying.wholeSeconds)
      const { phase, bytes, flops } = flying.run.work
      const work = { phase, bytes: bytes * share, flops: flops * share }
      plant.addStep({ startedAtMs: now, seconds, work, parts: flying.run.parts })
      flying.leftShare -= share
      busySeconds[phase] += seconds
    }
    plant.run(toMs)
    const after = plant.state().joules
    measure.stretch(now, toMs, ((after - joules) * 1000) / (toMs - now), budget)
    rowJoules += after - joules
    joules = after
    now = toMs
    const gpuHz = plant.gpuHz()
    if (gpuHz !== clock.hz) clock = { hz: gpuHz, sinceMs: now }
    if (flying !== null && flying.gpuHz !== gpuHz) paceRun(flying)
  }

  /** A new clock in the middle of a run changes when it ends. */
  const paceRun = (flying: Flying): void => {
    flying.gpuHz = plant.gpuHz()
    flying.wholeSeconds = workSeconds(plant.board().model, flying.gpuHz, flying.run.work, plant.cpuHz())
    flying.endsAtMs = now + flying.leftShare * flying.wholeSeconds * 1000
  }

  const ladder = ladderOf(board, options.shares)
  const worksOf = createWorks(cost)

  const tick = (): void => {
    const { active, queued, prefilling, promptTokens, decoding, contextTokens } = engine.status()
    const { prefillChunk } = orders
    const work = worksOf({ level: orders.capLevel, sequences: decoding, contextTokens, prefillChunk })
    const inputs: Inputs = {
      atMs: now,
      ladder,
      limits: {
        budgetWatts: budget,
        throttleCelsius: board.trips.throttleCelsius,
        staleAfterMs: sensor.staleAfterMs,
        tokenSeconds: options.tokenSeconds,
        firstTokenSeconds: options.firstTokenSeconds,
        maxSequences,
        hold: null,
      },
      model: board.model,
      reading: sensor.read(now),
      gpuCapHz: pending.cap?.hz ?? clockHz(),
      load: {
        active,
        queued,
        prefilling,
        promptTokens,
        sequenceBytes: decoding === 0 ? 0 : (cost.kvBytesPerContextToken * contextTokens) / decoding,
        decode: { work: work.decode, seconds: busySeconds.decode, stepSeconds: measured.decode },
        prefill: {
          work: work.prefill,
          seconds: busySeconds.prefill,
          stepSeconds: measured.prefill,
          tokens: prefillChunk,
        },
        intervalSeconds: (now - lastTickMs) / 1000,
        told: null,
      },
    }
    options.onInputs?.(inputs)
    orders = law.decide(inputs)
    ticks += 1
    lastTickMs = now
    Object.assign(busySeconds, { decode: 0, prefill: 0 })
    Object.assign(measured, { decode: null, prefill: null })
    if (orders.cpuHz !== null && orders.cpuHz !== plant.cpuHz()) plant.setCpuCap(orders.cpuHz)
    if (orders.gpuHz !== plant.gpuCapHz()) pending.cap = { hz: orders.gpuHz, atMs: now + actuationMs }
    if (active + queued > 0) busyAtMs = now
    tickAtMs = now + (now - busyAtMs <= lingerMs ? busyTickMs : idleTickMs) + timerLateMs * late()
  }

  /** Begins the next run of the engine when the board is free. */
  const beginRun = (): void => {
    if (pending.run !== null || now < freeAtMs) return
    const before = engine.status()
    const run = engine.begin(orders, now)
    if (run === null) return
    pending.run = { run, startedAtMs: now, leftShare: 1, gpuHz: plant.gpuHz(), wholeSeconds: 0, endsAtMs: now }
    paceRun(pending.run)
    // The engine announces that it begins with prompts; the law may have a lower cap for them.
    if (run.phase === 'prefill' && before.queued !== engine.status().queued) wake()
  }

  const endRun = (): void => {
    if (pending.run === null) return
    const { run, startedAtMs } = pending.run
    const seconds = (now - startedAtMs) / 1000
    const whole = run.phase === 'decode' || run.tokens === orders.prefillChunk
    if (whole && clock.sinceMs <= startedAtMs) measured[run.phase] = seconds
    const before = engine.status()
    const { answered, ended } = engine.end(now)
    for (const answer of answered) measure.answered(answer)
    for (const id of ended) plant.forget(id)
    pending.run = null
    freeAtMs = now + seconds * 1000 * (1 / orders.duty - 1)
    if (before.prefilling > 0 && engine.status().prefilling === 0) wake()
  }

  while (now < endMs) {
    const busy = engine.status().active + engine.status().queued > 0
    const toMs = Math.min(
      endMs,
      rowAtMs,
      tickAtMs,
      ...[sensor.nextAtMs(), next?.atMs, pending.cap?.atMs].map((atMs) => atMs ?? endMs),
      pending.run?.endsAtMs ?? (busy && freeAtMs > now ? freeAtMs : endMs),
    )
    advance(toMs)
    const budgetNow = budgetAt(now)
    if (budgetNow !== budget) {
      budget = budgetNow
      wake()
    }
    if (now >= sensor.nextAtMs()) sensor.take(now)
    while (next !== undefined && next.atMs <= now) {
      engine.submit(next)
      next = requests.next().value ?? undefined
      wake()
    }
    if (pending.run !== null && now >= pending.run.endsAtMs) endRun()
    if (now >= tickAtMs) tick()
    if (pending.cap !== null && now >= pending.cap.atMs) {
      plant.setGpuCap(pending.cap.hz)
      pending.cap = null
      if (pending.run !== null) paceRun(pending.run)
      clock = { hz: plant.gpuHz(), sinceMs: plant.gpuHz() === clock.hz ? clock.sinceMs : now }
    }
    beginRun()
    if (now >= rowAtMs) {
      const sensed = plant.sensed()
      throttled = { events: throttled.events + (sensed.throttling && !throttled.was ? 1 : 0), was: sensed.throttling }
      const tj = tjCelsius(plant.state())
      const totalWatts = (rowJoules * 1000) / rowMs
      measure.row(totalWatts, budget, tj)
      options.onRow?.({
        atMs: now,
        totalWatts,
        readingWatts: sensor.read(now)?.totalWatts ?? null,
        budgetWatts: budget,
        orders,
        gpuHz: plant.gpuHz(),
        cpuHz: plant.cpuHz(),
        tjCelsius: tj,
        tokensTotal: engine.totals.tokens,
        requestsActive: engine.status().active,
      })
      rowJoules = 0
      rowAtMs += rowMs
    }
  }
  return figuresOf(options, {
    totals: engine.totals,
    measure,
    joules,
    fanJoules: plant.state().fanJoules,
    throttleEvents: throttled.events,
    ticks,
  })
}
