import { modelInMode, type PowerMode, powerModesOf } from '../../board/power-modes.ts'
import type { Board } from '../../board/types.ts'
import type { ModelCost } from '../../board/work.ts'
import { batchPoints } from '../energy/batches.ts'
import { trialColumns } from '../energy/columns.ts'
import { cappedSetting, idealSetting, type Setting, thriftySetting } from '../energy/cost.ts'
import { type Aggregate, aggregate, priorBoards, totalJoules } from '../energy/priors.ts'
import { hotBox, throttleTrace } from '../energy/throttle.ts'
import type { Trace } from '../energy/traces.ts'
import type { ArmInfo, ArmRun, BatchPoint, PriorDraws, ThrottleTrace, TrialColumns } from '../records.ts'

/** An arm with the runs behind its answers. */
export interface TracedArm {
  readonly info: ArmInfo
  readonly cost: ModelCost
  readonly traces: readonly Trace[]
  /** Whether it may choose clocks within the mode, or runs at the mode's caps. */
  readonly clocks: 'capped' | 'thrifty'
}

export const settingOf = (board: Board, mode: PowerMode, { clocks, cost }: TracedArm): Setting =>
  clocks === 'capped' ? cappedSetting(board, mode) : thriftySetting(board, mode, cost)

/** What each prompt cost in each power mode of the board. */
export function trialsOf(board: Board, arm: TracedArm): ArmRun['trials'] {
  const ideal = idealSetting(board, arm.cost)
  return Object.fromEntries(
    powerModesOf(board).map((mode): [string, TrialColumns] => [
      mode.name,
      trialColumns(arm.traces, arm.cost, settingOf(board, mode, arm), ideal),
    ]),
  )
}

/**
 * Savings against the reference with the priors of the board drawn jointly. Clocks stay what the priors made them: the
 * board is another one, but whoever chose did not know.
 */
export function priorDraws(
  board: Board,
  arms: readonly TracedArm[],
  reference: TracedArm,
  draws: number,
  seed: number,
): PriorDraws[] {
  const boards = priorBoards(board, draws, seed)
  return powerModesOf(board).flatMap((mode) => {
    const models = boards.map(({ model }) => modelInMode(model, board, mode))
    const totals = (arm: TracedArm, piles: Aggregate) => {
      const setting = settingOf(board, mode, arm)
      return models.map((model) => totalJoules(piles, arm.cost, { ...setting, model }))
    }
    const dense = totals(reference, aggregate(reference.traces))
    return arms
      .filter((arm) => arm !== reference)
      .map((arm): PriorDraws => {
        const own = totals(arm, aggregate(arm.traces))
        const saving = (what: 'decode' | 'request') =>
          Float64Array.from(own, (joules, i) => 1 - joules[what] / dense[i][what])
        return {
          arm: arm.info.arm,
          powerState: mode.name,
          decodeSaving: saving('decode'),
          requestSaving: saving('request'),
        }
      })
  })
}

export const batchesOf = (board: Board, mode: PowerMode, arms: readonly TracedArm[]): BatchPoint[] =>
  arms.flatMap((arm) => batchPoints(arm.info.arm, arm.traces, arm.cost, settingOf(board, mode, arm)))

/** The same requests at the same times for each arm, on the board without caps in a hot box. */
export function throttlingOf(
  board: Board,
  arms: readonly TracedArm[],
  reference: TracedArm,
  seed: number,
  seconds = hotBox.seconds,
): ThrottleTrace[] {
  const modes = powerModesOf(board)
  const { requestSeconds } = trialColumns(
    reference.traces,
    reference.cost,
    settingOf(board, modes[modes.length - 1], reference),
    idealSetting(board, reference.cost),
  )
  const busySeconds = requestSeconds.reduce((sum, value) => sum + value, 0) / requestSeconds.length
  return arms.map(({ info, traces, cost }) =>
    throttleTrace(info.arm, traces, cost, board, busySeconds, seed, { ...hotBox, seconds }),
  )
}
