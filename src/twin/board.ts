import type { Board } from '../board/types.ts'
import type { ModelCost } from '../board/work.ts'
import { paceOf } from './as-if.ts'
import { uniform } from './noise.ts'
import {
  addPlantStep,
  advance,
  initialPlant,
  type PlantState,
  type PlantStep,
  plus,
  type RequestUse,
  railWatts,
  scaled,
  tjCelsius,
} from './plant.ts'
import { sampleRails, sampleZones } from './sensors.ts'
import { openTree } from './tree.ts'

/** INA3221 values change every 40 to 50 ms on a Jetson (hardware.md §2.1). */
const refreshMs = 45
/** Zones move slowly; writing them with every refresh would only cost CPU. */
const zoneRefreshMs = 450

export interface TwinOptions {
  readonly board: Board
  /** Folder that stands for `/`. */
  readonly root: string
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly seed?: number
  readonly ambientCelsius?: number
}

/** Energy since the twin was made, exact at `atMs`. */
export interface TwinEnergy {
  readonly atMs: number
  readonly joules: number
  /** Part that an idle board would have drawn. */
  readonly staticJoules: number
  /** Joules above idle, busy seconds and bytes of each request, until it is forgotten. */
  readonly requests: Readonly<Record<string, RequestUse>>
}

export interface Twin {
  readonly root: string
  /** Begins to refresh the sensors; the timer does not keep the process alive. */
  start(): void
  stop(): void
  /** Work the engine has begun or done. */
  addStep(step: PlantStep): void
  /** Books everything up to this time and returns the totals; times before the last one change nothing. */
  settle(atMs: number): TwinEnergy
  energy(): TwinEnergy
  /** Drops the totals of a request that has been billed. */
  forget(requestId: string): void
  /** The clock the GPU runs at under work: the highest point within the cap that stands in the tree. */
  gpuHz(): number
  tjCelsius(): number
  pace(cost: ModelCost, gpuHz: number): ReturnType<typeof paceOf>
  /** One refresh of plant, sensors and clock, for tests and simulations that keep their own time. */
  refresh(atMs: number): void
}

/** The running simulated board: a plant behind a tree of files, which only the real adapters read and write. */
export function createTwin(options: TwinOptions): Twin {
  const { board, root, now, seed = 1, ambientCelsius = 25 } = options
  const tree = openTree(board, root)
  const random = uniform(seed)
  const points = board.gpu.pointsHz
  let gpuHz = clockWithin(tree.gpuCapHz())
  let plant: PlantState = initialPlant(now(), ambientCelsius)
  let shown = plant
  let zonesAtMs = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | null = null

  function clockWithin(capHz: number | null): number {
    return points.findLast((point) => point <= (capHz ?? points[points.length - 1])) ?? points[0]
  }

  function settle(atMs: number): TwinEnergy {
    plant = advance(plant, board.model, atMs, gpuHz, ambientCelsius)
    return energy()
  }

  function energy(): TwinEnergy {
    const { atMs, joules, staticJoules, requests } = plant
    return { atMs, joules, staticJoules, requests }
  }

  function refresh(atMs: number): void {
    settle(atMs)
    const seconds = (plant.atMs - shown.atMs) / 1000
    if (seconds > 0) {
      // The sensor averages over its conversion time: the mean since the last refresh, not one moment.
      const dynamic = scaled(plus(plant.dynamicJoules, scaled(shown.dynamicJoules, -1)), 1 / seconds)
      tree.writeRails(sampleRails(board, railWatts(board, dynamic), random))
    }
    shown = plant
    gpuHz = clockWithin(tree.gpuCapHz())
    tree.writeGpuHz(plant.steps.length > 0 ? gpuHz : points[0])
    if (atMs - zonesAtMs < zoneRefreshMs) return
    zonesAtMs = atMs
    tree.writeZones(sampleZones(tjCelsius(plant)))
  }

  return {
    root,
    start() {
      timer ??= setInterval(() => refresh(now()), refreshMs)
      timer.unref()
    },
    stop() {
      if (timer !== null) clearInterval(timer)
      timer = null
      tree.close()
    },
    addStep(step) {
      plant = addPlantStep(plant, step)
    },
    settle,
    energy,
    forget(requestId) {
      const { [requestId]: _billed, ...requests } = plant.requests
      plant = { ...plant, requests }
    },
    gpuHz: () => gpuHz,
    tjCelsius: () => tjCelsius(plant),
    pace: (cost, hz) => paceOf(board.model, cost, hz),
    refresh,
  }
}
