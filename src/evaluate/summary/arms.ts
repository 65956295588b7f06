import { grams } from '../../energy/carbon.ts'
import { efficiencyRatio, energyConversion, joulesPerCorrect } from '../metrics.ts'
import type { RunManifest } from '../records.ts'
import { mapEstimate, mean, variance } from '../statistics/moments.ts'
import { discordance, nonInferiority, wilson } from '../statistics/proportions.ts'
import { pairedLogT } from '../statistics/t-test.ts'
import type { Draws } from './draws.ts'
import type { ArmRow, StateRow, StratumRow } from './report.ts'
import { type ArmTable, bytesPerToken, type Tables, total } from './table.ts'

/** The loss that a level or route may have against the full network, in points. */
export const claimedMargin = 1.5

const percent = (share: number): number => 100 * share

export function armRow(table: ArmTable, tables: Tables, draws: Draws, { grid }: RunManifest): ArmRow {
  const { run, main, correct, decoded } = table
  const { arm, title, kind, family, share } = run
  const n = correct.length
  const [right, tokens] = [total(correct), total(decoded)]
  const request = total(main.requestJoules) / n
  const joules = { arm, what: 'requestJoules' } as const
  return {
    arm,
    title,
    kind,
    family,
    share,
    prompts: n,
    accuracyPercent: mapEstimate(wilson(right, n), percent),
    tokensPerAnswer: mean(run.answers.map(({ levels }) => levels.length)),
    bytesPerToken: bytesPerToken(table),
    decodeJoules: total(main.decodeJoules) / n,
    requestJoules: request,
    joulesPerToken: total(main.decodeJoules) / tokens,
    tokensPerSecond: tokens / total(main.decodeSeconds),
    gramsPerThousand: 1000 * grams(request, grid.gramsPerKwh),
    joulesPerCorrect:
      right === 0
        ? null
        : draws.of([joules, { arm, what: 'correct' }], ([j, c]) => joulesPerCorrect(j, c) ?? Number.POSITIVE_INFINITY),
    efficiencyRatio: efficiencyRatio(percent(right / n), request),
    conversion: conversion(table, tables.reference),
  }
}

function conversion(table: ArmTable, reference: ArmTable): ArmRow['conversion'] {
  const { main, correct } = table
  if (!main.idealJoules) return null
  return energyConversion({
    idealJoules: total(main.idealJoules),
    joules: total(main.decodeJoules),
    denseBytesPerToken: bytesPerToken(reference),
    bytesPerToken: bytesPerToken(table),
    accuracy: mean(Float64Array.from(correct)),
    denseAccuracy: mean(Float64Array.from(reference.correct)),
    withinMargin: table === reference || nonInferiority(discordance(correct, reference.correct), claimedMargin).passes,
  })
}

/** Every arm in every power state, against the reference in the same one. */
export function stateRows({ arms, data, reference }: Tables): StateRow[] {
  return arms.flatMap(({ run, decoded }) =>
    data.powerStates.flatMap((powerState) => {
      const own = run.trials[powerState]
      const dense = reference.run.trials[powerState]
      if (!own || !dense) return []
      const { ratio } = pairedLogT(dense.decodeJoules, own.decodeJoules)
      return [
        {
          arm: run.arm,
          powerState,
          joulesPerToken: total(own.decodeJoules) / total(decoded),
          decodeJoules: mean(own.decodeJoules),
          requestJoules: mean(own.requestJoules),
          decodeSaving: mapEstimate(ratio, (r) => 1 - r),
        },
      ]
    }),
  )
}

export function stratumRows(tables: Tables): StratumRow[] {
  const { arms, strata, stratumOf, reference } = tables
  return arms.flatMap(({ run, main, correct }) =>
    strata.map((stratum, g) => {
      const rows = stratumOf.flatMap((of, i) => (of === g ? [i] : []))
      const joules = rows.map((i) => main.decodeJoules[i])
      const dense = rows.map((i) => reference.main.decodeJoules[i])
      const right = rows.filter((i) => correct[i]).length
      const half = 1.96 * Math.sqrt(variance(joules) / rows.length)
      const value = mean(joules)
      return {
        arm: run.arm,
        stratum,
        prompts: rows.length,
        accuracyPercent: mapEstimate(wilson(right, rows.length), percent),
        decodeJoules: { value, low: value - half, high: value + half },
        decodeSaving: 1 - value / mean(dense),
        meanLevel: mean(
          rows
            .map((i) => run.answers[i].levels.slice(1))
            .filter(({ length }) => length > 0)
            .map(mean),
        ),
      }
    }),
  )
}
