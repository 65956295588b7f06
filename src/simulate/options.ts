import type { Board } from '../board/types.ts'
import type { ModelCost } from '../board/work.ts'
import type { Inputs } from '../governor/types.ts'
import type { Policy, Run } from './engine.ts'
import type { Orders } from './laws.ts'
import type { Scenario } from './scenarios.ts'

export interface SimulationOptions {
  readonly board: Board
  readonly cost: ModelCost
  readonly shares: readonly number[]
  readonly budgetWatts: number
  readonly scenario: Scenario
  readonly seconds: number
  readonly seed: number
  readonly plantError: number
  readonly policy: Policy
  readonly sensor: string
  readonly governor: string
  readonly tokenSeconds: number
  readonly firstTokenSeconds: number
  readonly ambientCelsius: number
  readonly maxSequences: number
  /** Called with what the law is given at every tick. */
  readonly onInputs?: (inputs: Inputs) => void
  /** Called for every 100 ms. */
  readonly onRow?: (row: Row) => void
}

export interface Row {
  readonly atMs: number
  /** True mean of the plant over the row. */
  readonly totalWatts: number
  readonly readingWatts: number | null
  readonly budgetWatts: number
  readonly orders: Orders
  readonly gpuHz: number
  readonly cpuHz: number
  readonly tjCelsius: number
  readonly tokensTotal: number
  readonly requestsActive: number
}

/** A run of the engine, how much of it is left, and when it ends if the clock stays. */
export interface Flying {
  readonly run: Run
  readonly startedAtMs: number
  leftShare: number
  gpuHz: number
  wholeSeconds: number
  endsAtMs: number
}

/** What is under way: a run of the engine, and a cap on its way to the GPU. */
export interface Pending {
  run: Flying | null
  cap: { readonly hz: number; readonly atMs: number } | null
}
