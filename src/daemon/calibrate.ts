import type { Board } from '../board/types.ts'
import { type ModelCost, runWork } from '../board/work.ts'
import type { Cell, CellRig } from '../calibrate/cells.ts'
import type { Fit } from '../calibrate/fit.ts'
import { sweep } from '../calibrate/sweep.ts'
import { stateFolder } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import { startEngine } from '../engine/client.ts'
import { monotonicMs, type StepEvent } from '../engine/protocol.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { type ModelPackage, openPackage } from '../models/package.ts'
import { type Calibration, parametersOf, writeCalibration } from '../store/calibration.ts'
import { createBoardRig } from './calibrate-board.ts'
import { createVirtualRig } from './calibrate-virtual.ts'
import { calibrationKey } from './calibrated-board.ts'
import { modelCost } from './costs.ts'
import { openHardware } from './hardware.ts'
import { createLifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'
import { choosePlatform, type Platform } from './platform.ts'
import { lockState } from './state-lock.ts'

export interface CalibrateOptions {
  readonly secondsPerCell: number
  /** On a simulated board: in real time, with the engine, files and adapters of the daemon; else in the board's own time. */
  readonly realTime: boolean
  /** Of the simulated board in its own time. */
  readonly seed: number
  readonly plantError: number
  /** Fit and show, but store nothing. */
  readonly dryRun: boolean
  readonly signal: AbortSignal
  readonly onCell: (done: number, all: number, cell: Cell) => void
}

export interface Calibrated {
  readonly calibration: Calibration
  /** Where it was stored; null in a dry run. */
  readonly path: string | null
  readonly cells: readonly Cell[]
  /** Cells that were run again because something had disturbed them. */
  readonly repeats: number
}

/**
 * Sweeps level × clock on the board, fits its power model and stores it. The clocks are back when this returns or throws;
 * after a kill `deapd restore` has them.
 */
export async function calibrate(
  settings: Settings,
  env: NodeJS.ProcessEnv,
  log: Log,
  options: CalibrateOptions,
): Promise<Calibrated> {
  const stateDir = stateFolder(settings.state, env)
  const pack = openPackage(settings.model || bundledModelDir)
  const platform = choosePlatform(settings, stateDir)
  const { board, simulated } = platform
  const cost = modelCost(pack.manifest, simulated ? settings.as_if : 'none')
  const lifecycle = createLifecycle()
  try {
    // Two that move the same clocks would both measure nonsense: a running daemon must be stopped first.
    lifecycle.add('state lock', lockState(stateDir))
    const virtual = simulated && !options.realTime
    const { rig, pointsHz, sensor } = virtual
      ? { rig: createVirtualRig(board, cost, options), pointsHz: board.gpu.pointsHz, sensor: 'hwmon (simulated)' }
      : await openBoard({ settings, stateDir, platform, pack, cost, log, lifecycle })
    const { fit, cells, repeats } = await sweep(rig, board.model, {
      levels: pack.manifest.levels.length,
      pointsHz,
      secondsPerCell: options.secondsPerCell,
      signal: options.signal,
      onCell: options.onCell,
    })
    const key = calibrationKey(platform, pack.id, settings.as_if)
    const calibration = recordOf(fit, { ...key, sensor, cells: cells.length, date: new Date().toISOString() })
    const path = options.dryRun ? null : writeCalibration(stateDir, calibration)
    return { calibration, path, cells, repeats }
  } finally {
    await lifecycle.stop()
  }
}

/** The board with its engine, as the daemon would run it, without the governor. */
async function openBoard(parts: {
  readonly settings: Settings
  readonly stateDir: string
  readonly platform: Platform
  readonly pack: ModelPackage
  readonly cost: ModelCost
  readonly log: Log
  readonly lifecycle: ReturnType<typeof createLifecycle>
}): Promise<{ rig: CellRig; pointsHz: readonly number[]; sensor: string }> {
  const { settings, stateDir, platform, pack, cost, log, lifecycle } = parts
  const board: Board = platform.board
  const { twin, source, clocks } = await openHardware(platform, { stateDir, settings, log, lifecycle })
  const listeners = new Set<(step: StepEvent) => void>()
  const engine = startEngine({
    modelDir: pack.dir,
    manifest: pack.manifest,
    threads: settings.threads,
    provider: settings.provider,
    maxSequences: 1,
    maxQueued: 1,
    restart: false,
    onStep: (step) => {
      const { startedAtMs, seconds } = step
      twin?.addStep({ startedAtMs, seconds, work: runWork(cost, step), parts: [] })
      for (const listener of listeners) listener(step)
    },
  })
  lifecycle.add('engine', () => engine.close())
  await engine.ready()
  // Which instrument answers is known after the first reading.
  await source.read(monotonicMs())
  const rig = createBoardRig({
    board,
    cost,
    vocabulary: pack.manifest.shape.vocab_size,
    source,
    clocks,
    engine,
    onStep: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    clockSet: () => {
      twin?.refresh(monotonicMs())
      if (twin && settings.as_if !== 'none') engine.setPace(twin.pace(cost))
    },
  })
  return { rig, pointsHz: clocks.gpu?.pointsHz ?? board.gpu.pointsHz, sensor: source.name }
}

function recordOf(
  fit: Fit,
  about: Pick<Calibration, 'board' | 'simulated' | 'model' | 'date' | 'sensor' | 'cells'>,
): Calibration {
  const { energy } = fit
  return {
    schema: 'deapd-calibration/1',
    ...about,
    parameters: parametersOf(fit.model),
    figures: Object.fromEntries(
      Object.entries(fit.figures).map(([name, { value, halfWidth }]) => [name, { value, half_width: halfWidth }]),
    ),
    quality: {
      power_r_squared: fit.powerRSquared,
      time_r_squared: fit.timeRSquared,
      largest_power_error: fit.largestPowerError,
      largest_time_error: fit.largestTimeError,
    },
    energy_priors: {
      joules_per_byte: energy.joulesPerByte,
      joules_per_flop: energy.joulesPerFlop,
      static_watts: energy.staticWatts,
      elasticity: energy.elasticity,
      r_squared: energy.rSquared,
    },
  }
}
