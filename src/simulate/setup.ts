import { findBoard } from '../board/boards/index.ts'
import { DeapdError } from '../errors.ts'
import { asIfCost } from '../twin/as-if.ts'
import type { Policy } from './engine.ts'
import type { SimulationOptions } from './options.ts'
import { findScenario } from './scenarios.ts'

/** A simulation in the words of the command line. */
export interface Setup {
  readonly board: string
  readonly budget: number
  readonly scenario: string
  readonly seconds: number
  readonly seed: number
  readonly plantError: number
  readonly policy: Policy
  readonly sensor: string
  readonly governor: string
  /** Milliseconds per token, 0 for as fast as the budget allows; seconds until waiting prompts are read. */
  readonly latencyTarget: number
  readonly firstTokenTarget: number
  readonly ambient: number
}

export const usualSetup: Setup = {
  board: 'agx-orin-64gb',
  budget: 50,
  scenario: 'burst',
  seconds: 60,
  seed: 1,
  plantError: 0,
  policy: 'balanced',
  sensor: 'hwmon',
  governor: 'deapd',
  latencyTarget: 50,
  firstTokenTarget: 2,
  ambient: 25,
}

/** Levels of a LLaMA-2-7B as `models import --levels 4` makes them, by share of weight bytes. */
const shares: readonly number[] = [0.58, 0.72, 0.86, 1]
const maxSequences = 4

export function simulationOf(setup: Setup): SimulationOptions {
  const board = findBoard(setup.board)
  const cost = asIfCost('llama-2-7b', shares)
  if (cost === undefined) throw new DeapdError('bad_usage', { detail: 'There is no model to simulate.' })
  return {
    board,
    cost,
    shares,
    budgetWatts: setup.budget,
    scenario: findScenario(setup.scenario),
    seconds: setup.seconds,
    seed: setup.seed,
    plantError: setup.plantError,
    policy: setup.policy,
    sensor: setup.sensor,
    governor: setup.governor,
    tokenSeconds: setup.latencyTarget / 1000,
    firstTokenSeconds: setup.firstTokenTarget,
    ambientCelsius: setup.ambient,
    maxSequences,
  }
}
