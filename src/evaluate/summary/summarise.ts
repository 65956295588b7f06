import type { EvaluationData, RunManifest } from '../records.ts'
import { armRow, stateRows, stratumRows } from './arms.ts'
import { judgeClaims } from './claims.ts'
import { compare } from './comparisons.ts'
import { drawPrompts } from './draws.ts'
import { frontiers, lastPoints } from './frontiers.ts'
import { labelOf } from './label.ts'
import { levelUse } from './levels.ts'
import type { Report } from './report.ts'
import { batchRows, priorRows, scaling, throttleRows } from './scaling.ts'
import { tabulate } from './table.ts'
import { analyseVariance } from './variance.ts'
import { claimedSaving, judge } from './verdict.ts'

/** All statistics of a run, for the same data and seed the same to the last digit. Throws a RangeError when arms are not paired. */
export function summarise(data: EvaluationData, manifest: RunManifest): Report {
  const tables = tabulate(data)
  const draws = drawPrompts(tables, manifest.seed)
  const comparisons = compare(tables, draws)
  const main = comparisons.find(({ arm, against }) => arm === data.primary && against === data.reference)
  if (!main) throw new RangeError('the primary arm is the reference')
  const findings = {
    schema: 'deapd-evaluation/2' as const,
    manifest,
    reference: data.reference,
    primary: data.primary,
    mainPowerState: data.mainPowerState,
    powerStates: data.powerStates,
    strata: tables.strata,
    arms: tables.arms.map((table) => armRow(table, tables, draws, manifest)),
    comparisons,
    states: stateRows(tables),
    byStratum: stratumRows(tables),
    levels: levelUse(tables),
    frontiers: frontiers(tables, draws),
    lastPoints: lastPoints(tables, draws),
    variance: analyseVariance(tables),
    scaling: scaling(tables),
    batches: batchRows(data),
    throttling: throttleRows(data),
    priors: priorRows(data, claimedSaving),
    certificate: data.certificate,
  }
  const verdict = judge(tables, main, findings.levels, judgeClaims(findings, main))
  return { ...findings, verdict, label: labelOf(findings, main) }
}
