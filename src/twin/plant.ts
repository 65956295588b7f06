import type { PowerModel } from '../board/types.ts'
import { cpuWatts, gpuDraw, hostSeconds, leakWatts, type Work, workSeconds } from '../board/work.ts'
import { fanSpeed, fanWatts, heated } from './heat.ts'
import { none, type Parts, plus, scaled, total } from './parts.ts'

/** A piece of engine work on the plant: announced at its start or afterwards, it may end in the future. */
export interface PlantStep {
  /** Monotonic milliseconds. */
  readonly startedAtMs: number
  readonly seconds: number
  readonly work: Work
  /** Whose work it is; the shares add up to 1. */
  readonly parts: readonly { readonly requestId: string; readonly share: number }[]
}

/** What the plant runs at and stands in. */
export interface Conditions {
  readonly gpuHz: number
  readonly cpuHz: number
  readonly ambientCelsius: number
  /** Mean CPU cores that something else than the engine keeps busy. */
  readonly hostCores: number
}

export interface PlantState {
  readonly atMs: number
  /** Steps whose energy is not wholly booked yet. */
  readonly steps: readonly (PlantStep & { readonly bookedToMs: number })[]
  /** Cumulative joules since the start: the whole module, what it would have drawn idle, and the parts above idle. */
  readonly joules: number
  readonly staticJoules: number
  readonly partJoules: Parts
  /** Of the parts, what was reported so late that no sensor could show it any more. */
  readonly lateJoules: Parts
  /** Outside the module's power: no rail shows it (hardware.md §1.2). */
  readonly fanJoules: number
  readonly requests: Readonly<Record<string, RequestUse>>
  readonly sinkCelsius: number
  readonly dieKelvin: number
}

export interface RequestUse {
  /** Joules above static ones. */
  readonly joules: number
  readonly seconds: number
  readonly bytes: number
}

/** Leakage and fan follow the temperature at the start of a stretch, so stretches are kept shorter than the die's time constant. */
const longestMs = 1000
/** A step that is told of later than this was drawn before the sensor's last conversion began. */
const lateMs = 45

export function initialPlant(atMs: number, ambientCelsius: number): PlantState {
  return {
    atMs,
    steps: [],
    joules: 0,
    staticJoules: 0,
    partJoules: none,
    lateJoules: none,
    fanJoules: 0,
    requests: {},
    sinkCelsius: ambientCelsius,
    dieKelvin: 0,
  }
}

/** Whose joules are no longer asked for: work that goes on after its request was billed. */
export const forgotten = ''

/** Drops the totals of a request; what is still to be booked of its steps goes to `forgotten`. */
export function forgetRequest(state: PlantState, requestId: string): PlantState {
  const { [requestId]: _billed, ...requests } = state.requests
  const steps = state.steps.map((step) => ({
    ...step,
    parts: step.parts.map((part) => (part.requestId === requestId ? { ...part, requestId: forgotten } : part)),
  }))
  return { ...state, requests, steps }
}

export function addPlantStep(state: PlantState, step: PlantStep): PlantState {
  if (!(step.seconds > 0)) return state
  return { ...state, steps: [...state.steps, { ...step, bookedToMs: step.startedAtMs }] }
}

/**
 * Advances to `toMs` under one set of conditions. Energy is exact: every stretch between the starts and ends of steps is
 * integrated, also for steps that were reported late, whose past is booked now.
 */
export function advance(state: PlantState, model: PowerModel, toMs: number, conditions: Conditions): PlantState {
  let now = state
  while (toMs > now.atMs) now = advanceStretch(now, model, Math.min(toMs, now.atMs + longestMs), conditions)
  return now
}

function advanceStretch(state: PlantState, model: PowerModel, toMs: number, conditions: Conditions): PlantState {
  const seconds = (toMs - state.atMs) / 1000
  const tj = tjCelsius(state)
  const leak = leakWatts(model, tj) * seconds
  const others = cpuWatts(model, conditions.cpuHz, conditions.hostCores) * seconds
  const work = state.steps.length === 0 ? null : bookSteps(state, model, toMs, conditions)
  const parts = plus(work?.joules ?? none, { ...none, leak, cpu: others })
  const staticJoules = model.idleWatts * seconds + leak
  const joules = model.idleWatts * seconds + total(parts)
  const fan = fanSpeed(model.fan, tj)
  return {
    atMs: toMs,
    steps: work?.steps ?? state.steps,
    joules: state.joules + joules,
    staticJoules: state.staticJoules + staticJoules,
    partJoules: plus(state.partJoules, parts),
    lateJoules: plus(state.lateJoules, work?.late ?? none),
    fanJoules: state.fanJoules + fanWatts(model.fan, fan) * seconds,
    requests: work?.requests ?? state.requests,
    ...heated(state, model, { seconds, watts: joules / seconds, fan, ambientCelsius: conditions.ambientCelsius }),
  }
}

/** The joules of the steps up to `toMs` that are not booked yet, which of them come late, and to whom they go. */
function bookSteps(state: PlantState, model: PowerModel, toMs: number, conditions: Conditions) {
  let joules = none
  let late = none
  const lateUntilMs = state.atMs - lateMs
  const requests: Record<string, RequestUse> = { ...state.requests }
  const steps = state.steps.map((step) => drawOf(model, conditions, step))
  const edges = edgesOf(state.steps, lateUntilMs, toMs)
  for (let index = 1; index < edges.length; index += 1) {
    const active = steps.filter(({ step }) => step.bookedToMs <= edges[index - 1] && endMs(step) >= edges[index])
    if (active.length === 0) continue
    const length = (edges[index] - edges[index - 1]) / 1000
    const watts = wattsOf(model, conditions, active)
    joules = plus(joules, scaled(watts, length))
    if (edges[index] <= lateUntilMs) late = plus(late, scaled(watts, length))
    for (const { step, dram } of active) {
      const own = ((watts.gpu + watts.cpu + watts.busy) / active.length + dram) * length
      for (const { requestId, share } of step.parts) {
        const before = requests[requestId] ?? { joules: 0, seconds: 0, bytes: 0 }
        requests[requestId] = {
          joules: before.joules + own * share,
          seconds: before.seconds + length / active.length / step.parts.length,
          bytes: before.bytes + (step.work.bytes * share * length) / step.seconds,
        }
      }
    }
  }
  const left = state.steps
    .filter((step) => endMs(step) > toMs)
    .map((step) => (step.bookedToMs >= toMs ? step : { ...step, bookedToMs: toMs }))
  return { joules, late, requests, steps: left }
}

/** Watts of the module at this moment. */
export function wattsNow(state: PlantState, model: PowerModel, conditions: Conditions): number {
  const active = state.steps
    .filter((step) => step.startedAtMs <= state.atMs && endMs(step) > state.atMs)
    .map((step) => drawOf(model, conditions, step))
  const others = cpuWatts(model, conditions.cpuHz, conditions.hostCores)
  const dynamic = active.length === 0 ? 0 : total(wattsOf(model, conditions, active))
  return model.idleWatts + leakWatts(model, tjCelsius(state)) + others + dynamic
}

/** Mean parts over a step with such work at its own pace. */
export function wattsOfWork(model: PowerModel, clocks: Pick<Conditions, 'gpuHz' | 'cpuHz'>, work: Work): Parts {
  const seconds = workSeconds(model, clocks.gpuHz, work, clocks.cpuHz)
  const conditions = { ...clocks, ambientCelsius: 0, hostCores: 0 }
  const step = { startedAtMs: 0, bookedToMs: 0, seconds, work, parts: [] }
  return wattsOf(model, conditions, [drawOf(model, conditions, step)])
}

export function tjCelsius(state: Pick<PlantState, 'sinkCelsius' | 'dieKelvin'>): number {
  return state.sinkCelsius + state.dieKelvin
}

/** Watts of a step's GPU and DRAM while it lasts. */
interface Draw {
  readonly step: PlantState['steps'][number]
  readonly gpu: number
  readonly dram: number
}

/**
 * The GPU works for a part of the step: the rest is waiting for the host, or a step slower than the board could be. The
 * bytes cannot move faster than the board moves them.
 */
function drawOf(model: PowerModel, { gpuHz, cpuHz }: Conditions, step: Draw['step']): Draw {
  const draw = gpuDraw(model, gpuHz, step.work)
  const seconds = Math.max(step.seconds, draw.seconds + hostSeconds(model, cpuHz))
  return {
    step,
    gpu: draw.watts * Math.min(1, draw.seconds / step.seconds),
    dram: (model.dramJoulesPerByte * step.work.bytes) / seconds,
  }
}

/** The GPU runs one kernel at a time: overlapping steps share it, each moves its own bytes. */
function wattsOf(model: PowerModel, { cpuHz }: Conditions, active: readonly Draw[]): Parts {
  return {
    leak: 0,
    gpu: active.reduce((most, { gpu }) => Math.max(most, gpu), 0),
    cpu: cpuWatts(model, cpuHz, model.cpu.busyCores),
    busy: model.activeWatts,
    dram: active.reduce((sum, { dram }) => sum + dram, 0),
  }
}

/** Ascending times between which the set of active, unbooked steps does not change, up to `toMs`; `lateUntilMs` is one. */
function edgesOf(steps: PlantState['steps'], lateUntilMs: number, toMs: number): readonly number[] {
  const edges: number[] = []
  for (const step of steps) {
    if (step.bookedToMs > toMs) continue
    if (step.bookedToMs < lateUntilMs && !edges.includes(lateUntilMs)) edges.push(lateUntilMs)
    for (const edge of [step.bookedToMs, Math.min(endMs(step), toMs)]) if (!edges.includes(edge)) edges.push(edge)
  }
  return edges.sort((a, b) => a - b)
}

const endMs = (step: PlantStep): number => step.startedAtMs + step.seconds * 1000
