import { findBoard } from '../board/boards/index.ts'
import type { Row } from './options.ts'
import { simulate } from './run.ts'
import { type Setup, simulationOf } from './setup.ts'

/** What makes the board safe under a fault, and which conditions tell of it. */
interface Fit {
  /** What is asked within a second, in words. */
  readonly within: string
  readonly alarms: readonly string[]
  /** When the fault can be known: at once, or when its first effect shows. */
  readonly shows?: (row: Row, before: Row) => boolean
  readonly safe: (row: Row, lowestHz: number, before: Row) => boolean
}

const lowestCap = (row: Row, lowestHz: number): boolean => row.orders.gpuHz === lowestHz
const lowestWords = 'lowest GPU clock ordered within 1 s of the fault'
const obeyedWords = 'plant within 102 % of the halved budget within 1 s of its fall'
const underBudget = (row: Row): boolean => row.totalWatts <= 1.02 * row.budgetWatts

const fits: Readonly<Record<string, Fit>> = {
  'fault-loss': {
    within: lowestWords,
    alarms: ['telemetry_missing', 'telemetry_stale'],
    safe: lowestCap,
  },
  'fault-stuck': { within: lowestWords, alarms: ['telemetry_stuck'], safe: lowestCap },
  'fault-spike': { within: lowestWords, alarms: ['telemetry_implausible'], safe: lowestCap },
  // A drift is small at first, and the lowest clock is not asked for: it counts that the plant stays under the budget.
  'fault-drift': {
    within: 'plant within 102 % of the budget',
    alarms: ['telemetry_drift'],
    safe: underBudget,
  },
  // Shows when a cap is ordered that the board does not take.
  'fault-clock-refused': {
    within: obeyedWords,
    alarms: ['clock_refused'],
    shows: budgetFell,
    safe: underBudget,
  },
  'fault-clock-ignored': {
    within: obeyedWords,
    alarms: ['clock_refused'],
    shows: budgetFell,
    safe: underBudget,
  },
  // Hotter air is nothing to be told as long as the board stays well below its trip point.
  'fault-ambient': { within: 'plant within 102 % of the budget', alarms: [], safe: underBudget },
  'fault-overcurrent': {
    within: 'a lower GPU clock ordered, or the lowest, within 1 s of the fault',
    alarms: ['over_current'],
    safe: (row, lowestHz, before) => row.orders.gpuHz < before.orders.gpuHz || row.orders.gpuHz === lowestHz,
  },
}

function budgetFell(row: Row, before: Row): boolean {
  return row.budgetWatts < before.budgetWatts
}

/** The bar of a fault's row: exactly what {@link faultReaction} looks at. */
export function faultBar(scenario: string): string {
  const { within, alarms, shows } = fits[scenario]
  const raised = `${alarms.join(' or ')} raised while it lasts`
  const alarm =
    alarms.length === 0 ? 'no alarm required' : shows === undefined ? raised : `${raised}, if a lower cap was disobeyed`
  return `${within}; ${alarm}; former clock again within 60 s of its end; no excursion > 2 % longer than 200 ms`
}

/** Runs a fault of the middle third and tells how the law took it. */
export function faultReaction(setup: Setup) {
  const lowestHz = findBoard(setup.board).gpu.pointsHz[0]
  const { alarms: expected, shows, safe } = fits[setup.scenario]
  const fromMs = (setup.seconds * 1000) / 3
  const untilMs = 2 * fromMs
  const rows: Row[] = []
  const figures = simulate({ ...simulationOf(setup), onRow: (row) => rows.push(row) })
  const before = rows.filter((row) => row.atMs <= fromMs && row.requestsActive > 0)
  const usual = before[before.length - 1]
  const during = rows.filter((row) => row.atMs > fromMs && row.atMs <= untilMs)
  const shown = shows === undefined ? during[0] : (during.find((row) => shows(row, usual)) ?? during[0])
  const alarms = [...new Set(during.flatMap((row) => row.orders.conditions))].filter((name) => expected.includes(name))
  // A board that refuses a cap nobody orders does no harm.
  const disobeyed = during.filter((row) => row.gpuHz > row.orders.gpuHz).length > 2
  const safeRow = during.find((row) => row.atMs >= shown.atMs && safe(row, lowestHz, usual))
  const back = rows.find(
    (row) => row.atMs > untilMs && row.requestsActive > 0 && row.orders.gpuHz >= usual.orders.gpuHz,
  )
  return {
    safeMs: safeRow === undefined ? Number.POSITIVE_INFINITY : safeRow.atMs - shown.atMs,
    alarms,
    alarmed: expected.length === 0 || alarms.length > 0 || (shows !== undefined && !disobeyed),
    backMs: back === undefined ? Number.POSITIVE_INFINITY : back.atMs - untilMs,
    excursionMs: figures.longestExcursionMs,
    throttleEvents: figures.throttleEvents,
  }
}
