import { findBoard } from '../../board/boards/index.ts'
import { powerModesOf } from '../../board/power-modes.ts'
import { gridOf } from '../../energy/carbon.ts'
import { DeapdError } from '../../errors.ts'
import type { ModelPackage } from '../../models/package.ts'
import { asIfCost, asIfModels } from '../../twin/as-if.ts'
import { cappedSetting, costAt, decodeWork } from '../energy/cost.ts'
import { certificateState } from '../protocol/assemble.ts'
import type { Label } from './label.ts'

/** The mode that `deapd evaluate` takes its headline figures in. */
const mainPowerState = '50W'

/** A typical place in an answer; joules per token hardly depend on it. */
const contextTokens = 256

export interface LabelOptions {
  readonly board: string
  /** ISO 3166 code, or `world`. */
  readonly grid: string
}

/**
 * The label of a package that nobody evaluated: the simulated energy of its full level, the certificate's state, and no class,
 * because nothing is known of its answers. Throws `bad_usage` for a grid that is not in the table.
 */
export function packageLabel(
  { id, dir, digest, manifest }: ModelPackage,
  { board: name, grid }: LabelOptions,
  date: string,
): Label {
  const found = gridOf(grid)
  if (!found) throw new DeapdError('bad_usage', { detail: `No carbon intensity is known for the grid "${grid}".` })
  const board = findBoard(name)
  const modes = powerModesOf(board)
  const mode = modes.find((each) => each.name === mainPowerState) ?? modes[modes.length - 1]
  const shares = manifest.levels.map(({ share }) => share)
  const [model] = asIfModels
  const cost = asIfCost(model.name, shares)
  if (!cost) throw new RangeError(`no cost of ${model.name}`)
  const setting = cappedSetting(board, mode)
  const full = shares.length - 1
  const { joules } = costAt(
    setting.model,
    setting.decode(full),
    decodeWork(cost, { level: full, rows: 1, contextTokens }),
  )
  const certificate = certificateState({ dir, manifest })
  return {
    schema: 'deapd-label/1',
    model: id,
    digest,
    date,
    energy_of: model.name,
    board: board.id,
    power_state: mode.name,
    policy: 'full level',
    joules: 'simulated',
    accuracy_kind: 'toy',
    joules_per_token: joules,
    joules_per_answer: null,
    grams_per_1000_answers: null,
    grid: {
      name: found.row.name,
      grams_per_kwh: found.row.gramsPerKwh,
      year: found.row.year,
      source: found.row.source,
    },
    accuracy_percent: null,
    loss_points: null,
    loss_high_points: null,
    margin_points: certificate.marginPoints ?? 1.5,
    within_margin: null,
    certificate: {
      state: certificate.state,
      margin_points: certificate.marginPoints,
      confidence: certificate.confidence,
      n: certificate.n,
      date: certificate.date,
    },
    index: null,
    class: null,
  }
}
