import type { Manifest } from '../models/manifest.ts'
import type { GenerateRequest, Order } from './protocol.ts'

export type LevelOrder = Pick<Order, 'capLevel' | 'ecoLevel'>

/** The level that decides the next token, and whether it lies below what the request's policy allows. */
export interface LevelChoice {
  readonly level: number
  readonly degraded: boolean
}

/**
 * DESIGN §5.4: `exact` decides every token with the full network; `balanced` stays inside the certificate, and without one
 * at the full level; `eco` allows any. Brown-out may go lower under any policy and is then labelled.
 */
export function chooseLevel(
  request: Pick<GenerateRequest, 'policy' | 'level'>,
  manifest: Manifest,
  order: LevelOrder,
): LevelChoice {
  const full = manifest.levels.length - 1
  const certified = manifest.certificate ? Math.min(full, ...manifest.certificate.levels) : full
  const floors = { exact: full, balanced: certified, eco: 0 }
  const floor = floors[request.policy]
  const wanted = request.level ?? Math.max(floor, Math.min(order.ecoLevel, full))
  const lowest = request.level ?? floor
  const level = Math.min(wanted, order.capLevel)
  return { level, degraded: level < lowest }
}
