import type { Report } from '../summary/report.ts'
import { drawing } from './figure.ts'
import { labelDrawing } from './label-drawing.ts'
import { page } from './page.ts'
import { figuresOf } from './plots.ts'

/** The files of a report by name: report.html, each figure as an .svg beside it, the label as .svg and .json. */
export function renderReport(report: Report): Readonly<Record<string, string>> {
  const figures = figuresOf(report).map((figure) => [`${figure.id}.svg`, `${drawing(figure, report.manifest, true)}\n`])
  return {
    'report.html': page(report),
    ...Object.fromEntries(figures),
    'label.svg': `${labelDrawing(report.label, true)}\n`,
    'label.json': `${JSON.stringify(report.label, null, 2)}\n`,
  }
}
