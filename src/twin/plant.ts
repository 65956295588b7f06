import type { Board, PowerModel } from '../board/types.ts'
import { cpuWatts, gpuSeconds, gpuWatts, hostSeconds, leakWatts, type Work } from '../board/work.ts'
import { fanSpeed, fanWatts, heated } from './heat.ts'

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

/** Watts above the idle figure, by what draws them; rails are made of these parts. */
export interface Parts {
  readonly leak: number
  readonly gpu: number
  readonly cpu: number
  readonly busy: number
  readonly dram: number
}

export interface PlantState {
  readonly atMs: number
  /** Steps whose energy is not wholly booked yet. */
  readonly steps: readonly (PlantStep & { readonly bookedToMs: number })[]
  /** Cumulative joules since the start: the whole module, what it would have drawn idle, and the parts above idle. */
  readonly joules: number
  readonly staticJoules: number
  readonly partJoules: Parts
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

const none: Parts = { leak: 0, gpu: 0, cpu: 0, busy: 0, dram: 0 }

/** Leakage and fan follow the temperature at the start of a stretch, so stretches are kept shorter than the die's time constant. */
const longestMs = 1000

export function initialPlant(atMs: number, ambientCelsius: number): PlantState {
  return {
    atMs,
    steps: [],
    joules: 0,
    staticJoules: 0,
    partJoules: none,
    fanJoules: 0,
    requests: {},
    sinkCelsius: ambientCelsius,
    dieKelvin: 0,
  }
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
    fanJoules: state.fanJoules + fanWatts(model.fan, fan) * seconds,
    requests: work?.requests ?? state.requests,
    ...heated(state, model, { seconds, watts: joules / seconds, fan, ambientCelsius: conditions.ambientCelsius }),
  }
}

/** The joules of the steps up to `toMs` that are not booked yet, and to whom they go. */
function bookSteps(state: PlantState, model: PowerModel, toMs: number, conditions: Conditions) {
  let joules = none
  const requests: Record<string, RequestUse> = { ...state.requests }
  for (const [fromMs, untilMs] of stretches(state.steps, toMs)) {
    const active = state.steps.filter((step) => step.bookedToMs <= fromMs && endMs(step) >= untilMs)
    if (active.length === 0) continue
    const length = (untilMs - fromMs) / 1000
    const watts = wattsOf(model, conditions, active)
    joules = plus(joules, scaled(watts, length))
    for (const step of active) {
      const shared = (watts.gpu + watts.cpu + watts.busy) / active.length
      const own = (shared + dramWatts(model, conditions, step)) * length
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
  const steps = state.steps
    .filter((step) => endMs(step) > toMs)
    .map((step) => (step.bookedToMs >= toMs ? step : { ...step, bookedToMs: toMs }))
  return { joules, requests, steps }
}

/** Watts of the module at this moment. */
export function wattsNow(state: PlantState, model: PowerModel, conditions: Conditions): number {
  const active = state.steps.filter((step) => step.startedAtMs <= state.atMs && endMs(step) > state.atMs)
  const others = cpuWatts(model, conditions.cpuHz, conditions.hostCores)
  const dynamic = active.length === 0 ? 0 : total(wattsOf(model, conditions, active))
  return model.idleWatts + leakWatts(model, tjCelsius(state)) + others + dynamic
}

/** Watts of each rail when the module draws these parts above idle. */
export function railWatts(board: Board, parts: Parts): Record<string, number> {
  return Object.fromEntries(
    board.rails.map((rail) => [
      rail.label,
      rail.idleWatts +
        rail.gpuPart * (parts.gpu + parts.leak) +
        rail.cpuPart * parts.cpu +
        rail.busyPart * parts.busy +
        rail.dramPart * parts.dram,
    ]),
  )
}

export function tjCelsius(state: Pick<PlantState, 'sinkCelsius' | 'dieKelvin'>): number {
  return state.sinkCelsius + state.dieKelvin
}

/** The GPU runs one kernel at a time: overlapping steps share it, each moves its own bytes. */
function wattsOf(model: PowerModel, conditions: Conditions, active: readonly PlantStep[]): Parts {
  const { gpuHz, cpuHz } = conditions
  return {
    leak: 0,
    gpu: active.reduce((most, step) => Math.max(most, gpuWatts(model, gpuHz, step.work) * duty(model, gpuHz, step)), 0),
    cpu: cpuWatts(model, cpuHz, model.cpu.busyCores),
    busy: model.activeWatts,
    dram: active.reduce((sum, step) => sum + dramWatts(model, conditions, step), 0),
  }
}

/** Part of the step in which the GPU works: the rest is waiting for the host, or a step slower than the board could be. */
function duty(model: PowerModel, gpuHz: number, step: PlantStep): number {
  return Math.min(1, gpuSeconds(model, gpuHz, step.work) / step.seconds)
}

/** The bytes of a step cannot move faster than the board moves them. */
function dramWatts(model: PowerModel, { gpuHz, cpuHz }: Conditions, step: PlantStep): number {
  const least = gpuSeconds(model, gpuHz, step.work) + hostSeconds(model, cpuHz)
  return (model.dramJoulesPerByte * step.work.bytes) / Math.max(step.seconds, least)
}

/** The stretches of unbooked time up to `toMs` in which the set of active steps does not change. */
function stretches(steps: PlantState['steps'], toMs: number): readonly (readonly [number, number])[] {
  const edges = steps.flatMap((step) => [step.bookedToMs, Math.min(endMs(step), toMs)]).filter((edge) => edge <= toMs)
  const sorted = [...new Set(edges)].sort((a, b) => a - b)
  return sorted.slice(1).map((edge, index) => [sorted[index], edge] as const)
}

const endMs = (step: PlantStep): number => step.startedAtMs + step.seconds * 1000

export function total(parts: Parts): number {
  return parts.leak + parts.gpu + parts.cpu + parts.busy + parts.dram
}

export function scaled(parts: Parts, factor: number): Parts {
  return {
    leak: parts.leak * factor,
    gpu: parts.gpu * factor,
    cpu: parts.cpu * factor,
    busy: parts.busy * factor,
    dram: parts.dram * factor,
  }
}

export function plus(a: Parts, b: Parts): Parts {
  return {
    leak: a.leak + b.leak,
    gpu: a.gpu + b.gpu,
    cpu: a.cpu + b.cpu,
    busy: a.busy + b.busy,
    dram: a.dram + b.dram,
  }
}
