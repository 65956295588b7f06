import type { Board } from '../board/types.ts'
import type { ModelCost } from '../board/work.ts'
import { paceOf } from './as-if.ts'
import { watchFaults } from './fault-file.ts'
import type { PlantStep, RequestUse } from './plant.ts'
import { sampleZones } from './sensors.ts'
import { openTree } from './tree.ts'
import { createVirtualBoard, refreshMs } from './virtual.ts'

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
  cpuHz(): number
  tjCelsius(): number
  /** Seconds of the engine's steps on this board at the clocks it has now. */
  pace(cost: ModelCost): ReturnType<typeof paceOf>
  /** One refresh of plant, sensors and clock, for tests and simulations that keep their own time. */
  refresh(atMs: number): void
  /** The conversion that is due, if any: whoever reads in a process that was held up finds what a real sensor would show. */
  catchUp(atMs: number): void
}

/** The running simulated board: a virtual board behind a tree of files, which only the real adapters read and write. */
export function createTwin(options: TwinOptions): Twin {
  const { board, root, now, seed, ambientCelsius } = options
  const tree = openTree(board, root)
  const virtual = createVirtualBoard({ board, seed, startMs: now(), ambientCelsius })
  const faults = watchFaults(root)
  let zonesAtMs = Number.NEGATIVE_INFINITY
  let dueAtMs = now() + refreshMs
  let timer: NodeJS.Timeout | null = null
  obeyTree()

  /** A cap that somebody damaged is none. */
  function obeyTree(): void {
    virtual.setGpuCap(tree.gpuCapHz() ?? board.gpu.pointsHz[board.gpu.pointsHz.length - 1])
    virtual.setCpuCap(tree.cpuCapHz() ?? board.cpu.maxHz)
  }

  function energy(): TwinEnergy {
    const { atMs, joules, staticJoules, requests } = virtual.state()
    return { atMs, joules, staticJoules, requests }
  }

  /**
   * A sensor converts every 45 ms, whoever looks or is late. Refreshes as timers and readers happen to come would show means of a
   * millisecond between two that come together: of a gap between two steps, or of all that was told late.
   */
  function catchUp(atMs: number): void {
    if (atMs < dueAtMs) return
    const periods = Math.floor((atMs - dueAtMs) / refreshMs)
    refresh(dueAtMs + periods * refreshMs)
  }

  function follow(): void {
    catchUp(now())
    timer = setTimeout(follow, Math.max(1, Math.ceil(dueAtMs - now())))
    timer.unref()
  }

  function refresh(atMs: number): void {
    dueAtMs = atMs + refreshMs
    const injected = faults.changed()
    if (injected !== null) virtual.setFaults(injected)
    virtual.refresh(atMs)
    obeyTree()
    const { rails, loss, tjCelsius, overCurrentEvents, throttling, gpuLoad } = virtual.sensed()
    tree.loseSensors(loss)
    tree.refuseClocks(faults.inForce('clock-refused', atMs) !== undefined)
    if (rails !== null) tree.writeRails(rails)
    tree.writeProtection(overCurrentEvents, throttling)
    tree.writeClocks({
      gpuHz: virtual.state().steps.length > 0 ? virtual.gpuHz() : board.gpu.pointsHz[0],
      cpuHz: virtual.state().steps.length > 0 ? virtual.cpuHz() : board.cpu.minHz,
      gpuLoad,
    })
    if (atMs - zonesAtMs < zoneRefreshMs || rails === null) return
    zonesAtMs = atMs
    tree.writeZones(sampleZones(tjCelsius))
  }

  return {
    root,
    start() {
      if (timer === null) follow()
    },
    stop() {
      if (timer !== null) clearTimeout(timer)
      timer = null
      // A tree that cannot be written or read would stay behind for the next start.
      tree.refuseClocks(false)
      tree.loseSensors(null)
      tree.close()
    },
    addStep: virtual.addStep,
    settle(atMs) {
      catchUp(atMs)
      virtual.settle(atMs)
      return energy()
    },
    energy,
    forget: virtual.forget,
    gpuHz: virtual.gpuHz,
    cpuHz: virtual.cpuHz,
    tjCelsius: () => virtual.sensed().tjCelsius,
    pace: (cost) => paceOf(virtual.board().model, cost, virtual.gpuHz(), virtual.cpuHz()),
    refresh,
    catchUp,
  }
}
