import type { RouteReason } from './route.ts'
import type { RouteEntry } from './router.ts'

/** One sentence per reason, with the figures of the decision. */
export const routeReasons = {
  easy: (e) => `level ${e.to}: ${risk(e)}`,
  hard: (e) => ('risks' in e ? `full network: ${risk(e)}` : 'full network: this answer started there'),
  steady: (e) => `level ${e.to}: ${doubt(e)}`,
  doubt: (e) => `up from level ${e.from} to ${e.to}: ${doubt(e)}`,
  uneasy: (e) => `up from level ${e.from} to ${e.to}: doubts add up, ${doubt(e)}`,
  waiting: (e) => `level ${e.to} until the answer is calm again: ${doubt(e)}`,
  calm: (e) => `down from level ${e.from} to ${e.to}: ${doubt(e)}`,
} as const satisfies Record<RouteReason, (entry: RouteEntry) => string>

export const explainRoute = (entry: RouteEntry): string => routeReasons[entry.reason](entry)

function risk(entry: RouteEntry): string {
  if (!('risks' in entry)) return ''
  const { risks, to, limit } = entry
  const nearest = risks[Math.min(to, risks.length - 1)]
  return nearest === undefined
    ? 'the model has no smaller level'
    : `risk of level ${Math.min(to, risks.length - 1)} estimated at ${percent(nearest)}, limit ${percent(limit)}`
}

const doubt = (entry: RouteEntry): string =>
  'risks' in entry ? '' : `doubt ${percent(entry.doubt)}, limit ${percent(entry.limit)}`

const percent = (part: number): string => `${Number((100 * part).toPrecision(2))} %`
