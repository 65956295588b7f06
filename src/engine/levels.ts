import type { Manifest } from '../models/manifest.ts'
import type { GenerateRequest, Order } from './protocol.ts'

export type LevelOrder = Pick<Order, 'capLevel' | 'ecoLevel'>
type Wish = Pick<GenerateRequest, 'policy' | 'level'>

/** The level that decides the next token, and whether it lies below what the request's policy allows. */
export interface LevelChoice {
  readonly level: number
  readonly degraded: boolean
}

/**
 * The smallest level a request allows (DESIGN §5.4): `exact` wants the full network for every token; `balanced` stays
 * inside the certificate, and without one at the full level; `eco` allows any. A level the caller named is both ends.
 */
export function lowestLevel({ policy, level }: Wish, manifest: Manifest): number {
  if (level !== null) return level
  const full = manifest.levels.length - 1
  const certified = manifest.certificate ? Math.min(full, ...manifest.certificate.levels) : full
  return { exact: full, balanced: certified, eco: 0 }[policy]
}

/** The level for a request's next token. Brown-out may go lower under any policy and is then labelled. */
export function chooseLevel(request: Wish, manifest: Manifest, order: LevelOrder): LevelChoice {
  const lowest = lowestLevel(request, manifest)
  const wanted = request.level ?? Math.max(lowest, Math.min(order.ecoLevel, manifest.levels.length - 1))
  const level = Math.min(wanted, order.capLevel)
  return { level, degraded: level < lowest }
}
