import type { Report } from '../summary/report.ts'
import type { Figure } from './figure.ts'
import { batchFigure, scalingFigure, throttleFigure } from './plots/curves.ts'
import { frontierFigure } from './plots/frontier.ts'
import { heatmapFigure } from './plots/heatmap.ts'
import { marginFigure, savingFigure } from './plots/intervals.ts'
import { levelFigure, strataFigure } from './plots/strata.ts'

/** Every figure, in the order of the page; one without data is left out. */
const plots: readonly ((report: Report) => Figure | null)[] = [
  frontierFigure,
  savingFigure,
  marginFigure,
  strataFigure,
  levelFigure,
  heatmapFigure,
  batchFigure,
  throttleFigure,
  scalingFigure,
]

export const figuresOf = (report: Report): Figure[] => plots.flatMap((plot) => plot(report) ?? [])
