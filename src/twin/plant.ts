import type { Board, PowerModel } from '../board/types.ts'
import { gpuWatts, type Work, workSeconds } from '../board/work.ts'

/** A piece of engine work on the plant: announced at its start or afterwards, it may end in the future. */
export interface PlantStep {
  /** Monotonic milliseconds. */
  readonly startedAtMs: number
  readonly seconds: number
  readonly work: Work
  /** Whose work it is; the shares add up to 1. */
  readonly parts: readonly { readonly requestId: string; readonly share: number }[]
}

/** Watts above idle, by what draws them; rails are made of these parts. */
export interface Dynamic {
  readonly gpu: number
  readonly busy: number
  readonly dram: number
}

export interface PlantState {
  readonly atMs: number
  /** Steps whose energy is not wholly booked yet. */
  readonly steps: readonly (PlantStep & { readonly bookedToMs: number })[]
  /** Cumulative joules since the start: the whole board, what it would have drawn idle, and the parts above idle. */
  readonly joules: number
  readonly staticJoules: number
  readonly dynamicJoules: Dynamic
  readonly requests: Readonly<Record<string, RequestUse>>
  readonly sinkCelsius: number
  readonly dieKelvin: number
}

export interface RequestUse {
  readonly joules: number
  readonly seconds: number
  readonly bytes: number
}

const none: Dynamic = { gpu: 0, busy: 0, dram: 0 }

export function initialPlant(atMs: number, ambientCelsius: number): PlantState {
  return {
    atMs,
    steps: [],
    joules: 0,
    staticJoules: 0,
    dynamicJoules: none,
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
 * Advances to `toMs` at one GPU clock. Energy is exact: every stretch between the starts and ends of steps is integrated,
 * also for steps that were reported late, whose past is booked now.
 */
export function advance(
  state: PlantState,
  model: PowerModel,
  toMs: number,
  gpuHz: number,
  ambientCelsius: number,
): PlantState {
  if (toMs <= state.atMs) return state
  const seconds = (toMs - state.atMs) / 1000
  const staticJoules = model.idleWatts * seconds
  let dynamic = none
  const requests: Record<string, RequestUse> = { ...state.requests }
  for (const [fromMs, untilMs] of stretches(state.steps, toMs)) {
    const active = state.steps.filter((step) => step.bookedToMs <= fromMs && endMs(step) >= untilMs)
    const length = (untilMs - fromMs) / 1000
    const watts = dynamicOf(model, gpuHz, active)
    dynamic = plus(dynamic, scaled(watts, length))
    for (const step of active) {
      const joules = ((watts.gpu + watts.busy) / active.length + dramWatts(model, gpuHz, step)) * length
      for (const { requestId, share } of step.parts) {
        const before = requests[requestId] ?? { joules: 0, seconds: 0, bytes: 0 }
        requests[requestId] = {
          joules: before.joules + joules * share,
          seconds: before.seconds + length / active.length / step.parts.length,
          bytes: before.bytes + (step.work.bytes * share * length) / step.seconds,
        }
      }
    }
  }
  const dynamicWatts = total(dynamic) / seconds
  return {
    atMs: toMs,
    steps: state.steps
      .filter((step) => endMs(step) > toMs)
      .map((step) => ({ ...step, bookedToMs: Math.max(step.bookedToMs, toMs) })),
    joules: state.joules + staticJoules + total(dynamic),
    staticJoules: state.staticJoules + staticJoules,
    dynamicJoules: plus(state.dynamicJoules, dynamic),
    requests,
    ...heated(state, model, seconds, model.idleWatts + dynamicWatts, ambientCelsius),
  }
}

/** Watts above idle at this moment. */
export function dynamicNow(state: PlantState, model: PowerModel, gpuHz: number): Dynamic {
  const active = state.steps.filter((step) => step.startedAtMs <= state.atMs && endMs(step) > state.atMs)
  return dynamicOf(model, gpuHz, active)
}

/** Watts of each rail when the board draws this much above idle. */
export function railWatts(board: Board, dynamic: Dynamic): Record<string, number> {
  return Object.fromEntries(
    board.rails.map((rail) => [
      rail.label,
      rail.idleWatts + rail.gpuPart * dynamic.gpu + rail.busyPart * dynamic.busy + rail.dramPart * dynamic.dram,
    ]),
  )
}

export function tjCelsius(state: PlantState): number {
  return state.sinkCelsius + state.dieKelvin
}

/** The GPU runs one kernel at a time: overlapping steps share it, each moves its own bytes. */
function dynamicOf(model: PowerModel, gpuHz: number, active: readonly PlantStep[]): Dynamic {
  if (active.length === 0) return none
  return {
    gpu: active.reduce((most, step) => Math.max(most, gpuWatts(model, gpuHz, step.work) * duty(model, gpuHz, step)), 0),
    busy: model.cpuBusyWatts,
    dram: active.reduce((sum, step) => sum + dramWatts(model, gpuHz, step), 0),
  }
}

/** Part of the step in which the GPU works: the rest of a step slower than the board could be is waiting. */
function duty(model: PowerModel, gpuHz: number, step: PlantStep): number {
  return Math.min(1, workSeconds(model, gpuHz, step.work) / step.seconds)
}

/** The bytes of a step cannot move faster than the board moves them. */
function dramWatts(model: PowerModel, gpuHz: number, step: PlantStep): number {
  return (model.dramJoulesPerByte * step.work.bytes) / Math.max(step.seconds, workSeconds(model, gpuHz, step.work))
}

/** The stretches of unbooked time up to `toMs` in which the set of active steps does not change. */
function stretches(steps: PlantState['steps'], toMs: number): readonly (readonly [number, number])[] {
  const edges = steps.flatMap((step) => [step.bookedToMs, Math.min(endMs(step), toMs)]).filter((edge) => edge <= toMs)
  const sorted = [...new Set(edges)].sort((a, b) => a - b)
  return sorted.slice(1).map((edge, index) => [sorted[index], edge] as const)
}

const endMs = (step: PlantStep): number => step.startedAtMs + step.seconds * 1000

/** Two nodes: the heat sink over the ambient air, the die over the heat sink (hardware.md §4.6); exact for constant power. */
function heated(state: PlantState, model: PowerModel, seconds: number, watts: number, ambientCelsius: number) {
  const { dieKelvinPerWatt, dieSeconds, sinkKelvinPerWatt, sinkSeconds } = model.thermal
  const toward = (from: number, to: number, tau: number): number => to + (from - to) * Math.exp(-seconds / tau)
  return {
    sinkCelsius: toward(state.sinkCelsius, ambientCelsius + sinkKelvinPerWatt * watts, sinkSeconds),
    dieKelvin: toward(state.dieKelvin, dieKelvinPerWatt * watts, dieSeconds),
  }
}

export function total(dynamic: Dynamic): number {
  return dynamic.gpu + dynamic.busy + dynamic.dram
}

export function scaled(dynamic: Dynamic, factor: number): Dynamic {
  return { gpu: dynamic.gpu * factor, busy: dynamic.busy * factor, dram: dynamic.dram * factor }
}

export function plus(a: Dynamic, b: Dynamic): Dynamic {
  return { gpu: a.gpu + b.gpu, busy: a.busy + b.busy, dram: a.dram + b.dram }
}
