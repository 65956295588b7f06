import { admitted, chunkOf } from './admit.ts'
import { type CeilingMove, nextCeiling, rungOf, rungUnder } from './ceiling.ts'
import { bindingLimit, eachPhase, hungriest, type Limit, runningPhases } from './choose.ts'
import { modelAt, thriftiestCpu } from './cpu.ts'
import { conditionsOf, explain } from './explain.ts'
import { budgetGuard, overCurrentGuard, overWatts, refusalGuard, thermalGuard } from './guards.ts'
import { observe } from './observe.ts'
import { idleWatts } from './plant.ts'
import { pointsOf, rungByRatio, thriftiestLevel } from './points.ts'
import { nextProbe } from './probe.ts'
import { soundInputs } from './sound.ts'
import { squeeze } from './squeeze.ts'
import { aimWatts, tuning } from './tuning.ts'
import type { Decision, GovernorState, Inputs, Phase, Reason } from './types.ts'
import { type Wanted, wantedForDecode, wantedForPrefill } from './wanted.ts'

/** One tick of the law: what was seen goes in, what shall be done comes out. Pure: equal arguments, equal results. */
export function step(
  before: GovernorState,
  raw: Inputs,
): { readonly state: GovernorState; readonly decision: Decision } {
  const sound = soundInputs(raw)
  const inputs = { ...sound, model: modelAt(sound.model, before.decision.cpuHz) }
  const { atMs, ladder, limits, model, load } = inputs
  const state = observe(before, inputs)
  const { fault } = state.health
  const idle = atMs - state.busyAtMs > tuning.idleAfterMs
  const top = ladder.gpuHz.length - 1
  const current = rungOf(ladder.gpuHz, state.gpuHz)

  // What each kind of work would draw at each rung, and which kinds may run before the next step.
  const known = { model, plant: state.plant, pace: state.pace }
  const points = eachPhase((phase) => pointsOf(ladder, known, load[phase].work))
  const phases = runningPhases(inputs)
  const worst = hungriest(phases, points)
  const idling = idleWatts(state.plant, model)

  // Guards: what a reading over the budget, heat, over-current events and a board that does not obey forbid.
  const over = fault === null && !idle ? overWatts(state, inputs) : null
  const aim = aimWatts(limits.budgetWatts)
  const overRung = over === null ? null : rungByRatio(worst, current, { watts: over, aim, idleWatts: idling })
  const barred = budgetGuard(state, inputs, over)
  const heat = thermalGuard(state, inputs)
  const overCurrent = overCurrentGuard(state, inputs)
  const overCurrentLasts = overCurrent.overCurrent !== null && atMs < overCurrent.overCurrent.untilMs
  const refusedAtMs = refusalGuard(state, inputs)
  const refused = refusedAtMs !== null && atMs - refusedAtMs >= tuning.refusedMs

  // Ceilings: how high each kind of work may go. Wanted: where it would be thriftiest in time.
  const settled = (inputs.reading?.atMs ?? 0) >= state.changedAtMs + tuning.windowMs
  const mayRaise = settled && over === null && !refused && state.decision.duty === 1
  const moves = eachPhase((phase): CeilingMove => {
    const ceiling = state.ceilings[phase]
    if (fault !== null) return { ceiling: { rung: 0, raisedAtMs: atMs }, reason: 'dwell' }
    if (overRung !== null && overRung < ceiling.rung) {
      return { ceiling: { ...ceiling, rung: overRung }, reason: 'predicted_over_budget' }
    }
    return nextCeiling(ceiling, points[phase], { atMs, budgetWatts: limits.budgetWatts, mayRaise: mayRaise && !idle })
  })
  const costs = (phase: Phase) => ({ idleWatts: idling, backlog: state.backlog, rung: state.wanted[phase] })
  const wanted: Readonly<Record<Phase, Wanted>> = {
    decode: wantedForDecode(inputs, points.decode, costs('decode')),
    prefill: wantedForPrefill(inputs, points.prefill, costs('prefill')),
  }
  const probe = nextProbe(state, inputs, { points: worst, current, quiet: idle || fault !== null })

  // The lowest limit decides, and its reason is the decision's.
  const newBudget = limits.budgetWatts < state.budgetWatts
  const lowered = (reason: Reason): Reason => (newBudget ? 'budget_changed' : reason)
  const highest = phases.map((phase) => wanted[phase]).reduce((a, b) => (b.rung > a.rung ? b : a))
  const limit = bindingLimit(
    [
      ...only(fault !== null, { rung: 0, reason: fault ?? 'start' }),
      ...only(idle, { rung: 0, reason: 'idle' }),
      ...only(probe.rung !== null, { rung: probe.rung ?? 0, reason: 'probe' }),
      ...only(overCurrentLasts, {
        rung: rungUnder(overCurrent.overCurrent, ladder.gpuHz, atMs),
        reason: 'over_current',
      }),
      ...only(heat.thermalRung < top, { rung: heat.thermalRung, reason: 'thermal' }),
      ...only(overRung !== null, { rung: overRung ?? 0, reason: lowered('over_budget') }),
      ...phases
        .map((phase) => moves[phase])
        .map(({ ceiling: { rung }, reason }) => ({ rung, reason: lowered(reason) })),
      highest,
      { rung: rungUnder(barred, ladder.gpuHz, atMs), reason: 'within_budget' },
    ],
    top,
  )

  // What the clock alone cannot do, pauses and levels do.
  const lowest = phases.map((phase) => points[phase][refused ? current : 0])
  const pressed = squeeze(state, inputs, { points: lowest, idleWatts: idling, idle })
  const rung = refused ? current : limit.rung
  // A level held by hand below all of them was chosen by nobody else; a clock that something else limits is still named so.
  const heldLevel = limits.hold?.level != null && !pressed.brownOut && limit.reason === wanted.decode.reason
  const gpuHz = ladder.gpuHz[limit.rung]
  const decision: Omit<Decision, 'explanation'> = {
    gpuHz,
    cpuHz: cpuCap(sound, state.decision.cpuHz, gpuHz),
    capLevel: pressed.capLevel,
    ecoLevel: Math.min(pressed.capLevel, thriftiestLevel(ladder.shares, points.decode, rung)),
    duty: pressed.duty,
    concurrency: admitted(inputs, state.pace, ladder.gpuHz[rung]),
    prefillChunk: chunkOf(inputs, points.prefill[rung].seconds, newBudget || refusedAtMs !== null),
    reason:
      fault !== null
        ? fault
        : refused
          ? 'clock_refused'
          : pressed.brownOut
            ? 'brown_out'
            : heldLevel
              ? 'hold'
              : limit.reason,
    conditions: conditionsOf({
      [fault ?? 'start']: fault !== null,
      over_budget: over !== null,
      over_current: overCurrentLasts,
      thermal: heat.thermalRung < top,
      brown_out: pressed.brownOut,
      clock_refused: refused,
    }),
    predictedWatts: idle ? idling : idling + pressed.duty * (worst[rung].watts - idling),
  }
  const decided = { ...decision, explanation: explain(state, inputs, decision) }
  const { expectedWatts: _, ...kept } = state
  return {
    decision: decided,
    state: {
      ...kept,
      decision: decided,
      atMs,
      gpuHz: refusedAtMs === null ? gpuHz : state.gpuHz,
      changedAtMs: gpuHz !== state.gpuHz && refusedAtMs === null ? atMs : state.changedAtMs,
      levelAtMs: decided.capLevel !== state.decision.capLevel ? atMs : state.levelAtMs,
      idle,
      budgetWatts: limits.budgetWatts,
      ceilings: eachPhase((phase) => moves[phase].ceiling),
      wanted: eachPhase((phase) => wanted[phase].rung),
      barred,
      ...heat,
      ...overCurrent,
      refusedAtMs,
      probe: probe.next,
    },
  }
}

/** The CPU waits for the GPU most of the time: a lower clock saves more than it costs. Not where every millisecond counts. */
function cpuCap({ ladder, limits, model, load }: Inputs, before: number | null, gpuHz: number): number | null {
  if (ladder.cpuHz === null || limits.tokenSeconds === 0) return null
  return before ?? thriftiestCpu(model, ladder.cpuHz, gpuHz, load.decode.work)
}

const only = (holds: boolean, limit: Limit): readonly Limit[] => (holds ? [limit] : [])
