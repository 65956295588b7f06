import type { Board } from '../board/types.ts'
import { driftGain, type Fault, faultAt } from './faults.ts'
import { uniform } from './noise.ts'
import { type Parts, plus, railWatts, scaled } from './parts.ts'
import { perturbed } from './perturb.ts'
import {
  addPlantStep,
  advance,
  type Conditions,
  forgetRequest,
  initialPlant,
  type PlantState,
  type PlantStep,
  tjCelsius,
  wattsNow,
} from './plant.ts'
import { type RailSample, sampleRails } from './sensors.ts'

/** INA3221 values change every 40 to 50 ms on a Jetson (hardware.md §2.1). */
export const refreshMs = 45

/** The board throttles itself from its trip point until it is this much cooler. */
const throttleHysteresisKelvin = 3
/** Clock of a GPU that is throttled by heat or over-current, as a part of its cap. */
const throttledShare = 0.5
/**
 * One sample in this many is wild while a `spike` fault lasts, the first one among them. Not ten: as many refreshes are nine
 * looks of the governor, and a reader that missed one wild sample between two looks would miss all of them.
 */
const spikeEvery = 11

export interface VirtualOptions {
  readonly board: Board
  readonly seed?: number
  readonly startMs?: number
  readonly ambientCelsius?: number | ((atMs: number) => number)
  /** Every coefficient of the plant is off by up to this share; the seed decides by how much. */
  readonly plantError?: number
  readonly faults?: readonly Fault[]
}

/** What the sensors of the board show: the values of the last refresh. */
export interface Sensed {
  /** When they were taken. */
  readonly atMs: number
  /** Null while the sensors are gone; `loss` says how. */
  readonly rails: readonly RailSample[] | null
  readonly loss: Fault | null
  readonly tjCelsius: number
  /** Over-current events (OC3) since the start. */
  readonly overCurrentEvents: number
  /** True while heat or over-current holds the GPU below its cap. */
  readonly throttling: boolean
  /** Part of the last refresh in which the GPU had work, 0 to 1. */
  readonly gpuLoad: number
}

/**
 * A whole simulated board in its own time: plant, sensors, clocks and faults. It never looks at a clock of its own, so the
 * same calls give the same bytes; a simulation drives it as fast as it can, the twin in real time.
 */
export interface VirtualBoard {
  /** The plant as it really is, error included; a governor may only know the original. */
  readonly board: () => Board
  addStep(step: PlantStep): void
  /** Drops the totals of a request that has been billed. */
  forget(requestId: string): void
  /** Writes a clock cap. False when the board refuses it. */
  setGpuCap(hz: number): boolean
  setCpuCap(hz: number): boolean
  /** Mean cores that something else than the engine keeps busy. */
  setHostCores(cores: number): void
  setFaults(faults: readonly Fault[]): void
  /** Runs up to this time, with a refresh of the sensors every 45 ms. */
  run(toMs: number): void
  /** Books energy up to this time without a refresh; earlier times change nothing. */
  settle(atMs: number): PlantState
  /** Settles, samples the sensors and lets the protection act. */
  refresh(atMs: number): void
  state(): PlantState
  sensed(): Sensed
  /** Clocks under work: the highest point within the cap, less when the board throttles. */
  gpuHz(): number
  cpuHz(): number
  gpuCapHz(): number
  conditions(): Conditions
  /** Module watts at this moment. */
  watts(): number
}

export function createVirtualBoard(options: VirtualOptions): VirtualBoard {
  const { seed = 1, startMs = 0, ambientCelsius = 25, plantError = 0 } = options
  const points = options.board.gpu.pointsHz
  const random = uniform(seed)
  const ambientAt = typeof ambientCelsius === 'number' ? () => ambientCelsius : ambientCelsius
  const priors = perturbed(options.board, plantError, seed)
  let board = priors
  let faults = options.faults ?? []
  let plant = initialPlant(startMs, ambientAt(startMs))
  let shown = plant
  let nextRefreshMs = startMs + refreshMs
  let gpuCapHz = points[points.length - 1]
  let cpuCapHz = options.board.cpu.maxHz
  /** The caps the board obeys: those above, unless a fault makes it deaf. */
  let obeyed = { gpuHz: gpuCapHz, cpuHz: cpuCapHz }
  let hot = false
  let overCurrent = false
  let spikeSamples = 0
  let hostCores = 0
  let sensed: Sensed = {
    atMs: startMs,
    rails: sampleRails(board, {}, random),
    loss: null,
    tjCelsius: tjCelsius(plant),
    overCurrentEvents: 0,
    throttling: false,
    gpuLoad: 0,
  }

  const pointWithin = (hz: number): number => points.findLast((point) => point <= hz) ?? points[0]

  const conditions = (): Conditions => ({
    gpuHz: pointWithin(hot || overCurrent ? throttledShare * obeyed.gpuHz : obeyed.gpuHz),
    cpuHz: obeyed.cpuHz,
    ambientCelsius: ambientAt(plant.atMs) + (faultAt(faults, 'ambient', plant.atMs)?.amount ?? 0),
    hostCores,
  })

  const obey = (): void => {
    if (faultAt(faults, 'clock-ignored', plant.atMs) === undefined) obeyed = { gpuHz: gpuCapHz, cpuHz: cpuCapHz }
  }

  function settle(atMs: number): PlantState {
    if (atMs > plant.atMs) {
      const error = faultAt(faults, 'plant-error', plant.atMs)
      board = error === undefined ? priors : perturbed(options.board, error.amount, seed)
      plant = advance(plant, board.model, atMs, conditions())
    }
    return plant
  }

  /** Heat and over-current hold the GPU back, as the hardware does without asking anybody. */
  function protect(atMs: number): number {
    const { throttleCelsius } = board.trips
    hot = tjCelsius(plant) >= throttleCelsius - (hot ? throttleHysteresisKelvin : 0)
    const limit = board.model.overCurrentWatts * (faultAt(faults, 'overcurrent', atMs)?.amount ?? 1)
    // The clock that was asked for decides: a throttled GPU draws less, and would trip again at once.
    const wanted = { ...conditions(), gpuHz: pointWithin(obeyed.gpuHz) }
    overCurrent = wattsNow(plant, board.model, wanted) > limit
    return sensed.overCurrentEvents + (overCurrent ? 1 : 0)
  }

  /** Joules by part that the sensor can have seen since the last refresh. */
  const sinceShown = (): Parts => {
    const visible = ({ partJoules, lateJoules }: PlantState) => plus(partJoules, scaled(lateJoules, -1))
    return plus(visible(plant), scaled(visible(shown), -1))
  }

  /** The sensor averages over its conversion time: the mean since the last refresh, not one moment. */
  function sample(atMs: number, seconds: number): readonly RailSample[] | null {
    if (faultAt(faults, 'loss', atMs) !== undefined) return null
    if (faultAt(faults, 'stuck', atMs) !== undefined) return sensed.rails
    const parts = scaled(sinceShown(), 1 / seconds)
    const spike = faultAt(faults, 'spike', atMs)
    spikeSamples = spike === undefined ? 0 : spikeSamples + 1
    const wild = spike !== undefined && spikeSamples % spikeEvery === 1 ? spike.amount : 1
    const gain = wild * driftGain(faultAt(faults, 'drift', atMs), atMs)
    return sampleRails(board, railWatts(board, parts), random, gain)
  }

  function refresh(atMs: number): void {
    // A real sensor converts on, whoever is late: a late refresh shows the last conversion and not the whole delay.
    if (atMs - shown.atMs >= 2 * refreshMs && settle(atMs - refreshMs).atMs <= atMs - refreshMs) shown = plant
    settle(atMs)
    const seconds = (plant.atMs - shown.atMs) / 1000
    obey()
    if (seconds > 0) {
      const rails = sample(atMs, seconds)
      sensed = {
        atMs,
        rails,
        loss: faultAt(faults, 'loss', atMs) ?? null,
        tjCelsius: tjCelsius(plant),
        overCurrentEvents: protect(atMs),
        throttling: hot || overCurrent,
        gpuLoad: Math.min(1, sinceShown().busy / (seconds * board.model.activeWatts)),
      }
    }
    shown = plant
  }

  return {
    board: () => board,
    addStep(step) {
      plant = addPlantStep(plant, step)
    },
    forget(requestId) {
      plant = forgetRequest(plant, requestId)
    },
    setGpuCap(hz) {
      if (faultAt(faults, 'clock-refused', plant.atMs)) return false
      gpuCapHz = hz
      obey()
      return true
    },
    setCpuCap(hz) {
      if (faultAt(faults, 'clock-refused', plant.atMs)) return false
      cpuCapHz = Math.min(options.board.cpu.maxHz, Math.max(options.board.cpu.minHz, hz))
      obey()
      return true
    },
    setHostCores(cores) {
      hostCores = cores
    },
    setFaults(rows) {
      faults = rows
    },
    run(toMs) {
      for (; nextRefreshMs <= toMs; nextRefreshMs += refreshMs) refresh(nextRefreshMs)
      settle(toMs)
    },
    settle,
    refresh,
    state: () => plant,
    sensed: () => sensed,
    gpuHz: () => conditions().gpuHz,
    cpuHz: () => obeyed.cpuHz,
    gpuCapHz: () => gpuCapHz,
    conditions,
    watts: () => wattsNow(plant, board.model, conditions()),
  }
}
