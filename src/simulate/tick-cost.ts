import { initialState } from '../governor/initial.ts'
import { step } from '../governor/step.ts'
import type { Inputs } from '../governor/types.ts'
import { simulate } from './run.ts'
import { simulationOf, usualSetup } from './setup.ts'

/** Milliseconds one tick of the law takes on this machine: the median and the 99th of a hundred over ten minutes of hard load, replayed. */
export function tickCost(): { readonly medianMs: number; readonly p99Ms: number } {
  const inputs: Inputs[] = []
  const setup = { ...usualSetup, scenario: 'adversarial', plantError: 0.3, seconds: 600, seed: 1 }
  simulate({ ...simulationOf(setup), onInputs: (row) => inputs.push(row) })
  const { ladder, limits, model } = inputs[0]
  let state = initialState({ atMs: 0, ladder, budgetWatts: limits.budgetWatts, idleWatts: model.idleWatts })
  const times: number[] = []
  for (const row of inputs) {
    const from = performance.now()
    state = step(state, row).state
    times.push(performance.now() - from)
  }
  times.sort((a, b) => a - b)
  return { medianMs: times[Math.floor(times.length / 2)], p99Ms: times[Math.floor(0.99 * times.length)] }
}
