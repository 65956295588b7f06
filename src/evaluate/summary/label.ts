import { classOf, type Label } from '../report/label.ts'
import { claimedMargin } from './arms.ts'
import type { Comparison, Report } from './report.ts'

/** The label of the package under its default policy: the primary arm, against the full int4 network in the same power state. */
export function labelOf(of: Omit<Report, 'verdict' | 'label'>, main: Comparison): Label {
  const { manifest, certificate } = of
  const row = of.arms.find(({ arm }) => arm === of.primary)
  const dense = of.arms.find(({ arm }) => arm === of.reference)
  if (!row || !dense) throw new RangeError('no row of the primary arm')
  const withinMargin = main.margins.find(({ marginPoints }) => marginPoints === claimedMargin)?.passes ?? null
  const index =
    row.joulesPerCorrect && dense.joulesPerCorrect
      ? (100 * row.joulesPerCorrect.value) / dense.joulesPerCorrect.value
      : null
  return {
    schema: 'deapd-label/1',
    model: manifest.model,
    digest: manifest.digest,
    date: manifest.date,
    energy_of: manifest.energyOf,
    board: manifest.board,
    power_state: of.mainPowerState,
    policy: row.title,
    joules: manifest.joules,
    accuracy_kind: manifest.accuracy,
    joules_per_token: row.joulesPerToken,
    joules_per_answer: row.requestJoules,
    grams_per_1000_answers: row.gramsPerThousand,
    grid: {
      name: manifest.grid.name,
      grams_per_kwh: manifest.grid.gramsPerKwh,
      year: manifest.grid.year,
      source: manifest.grid.source,
    },
    accuracy_percent: row.accuracyPercent.value,
    loss_points: -main.accuracyPoints.value,
    loss_high_points: -main.accuracyPoints.low,
    margin_points: claimedMargin,
    within_margin: withinMargin,
    certificate: {
      state: certificate.state,
      margin_points: certificate.marginPoints,
      confidence: certificate.confidence,
      n: certificate.n,
      date: certificate.date,
    },
    index,
    class: classOf(index, withinMargin),
  }
}
