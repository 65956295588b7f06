import type { GenerateRequest, Order } from './protocol.ts'

export type LevelOrder = Pick<Order, 'capLevel' | 'ecoLevel'>
type Wish = Pick<GenerateRequest, 'policy' | 'level'>

/** The level that decides the next token, and whether it lies below what the request's policy allows. */
export interface LevelChoice {
  readonly level: number
  readonly degraded: boolean
}

/**
 * The smallest level at which rows of the cache may have been written for a request to go on from them. A routed answer
 * reads its prompt at the full level, as the prompts of its certificate were; only its own tokens may be from below.
 */
export const lowestCachedLevel = ({ policy, level }: Wish, full: number): number =>
  level ?? (policy === 'eco' ? 0 : full)

/**
 * The level for a request's next token (DESIGN §5.4): `exact` wants the full network for every token; `balanced` goes where
 * its router sends it, inside the certificate, and without one to the full level; `eco` may go to any. A level the caller
 * named is both ends. The governor's cap is above all of them: brown-out may go lower and is then labelled. `routed` is the
 * level a router asks for; null without one.
 */
export function chooseLevel(request: Wish, full: number, order: LevelOrder, routed: number | null): LevelChoice {
  const lowest = request.level ?? (request.policy === 'eco' ? 0 : (routed ?? full))
  const eco = Math.max(routed ?? 0, Math.min(order.ecoLevel, full))
  const wanted = request.level ?? (request.policy === 'eco' ? eco : lowest)
  const level = Math.min(wanted, order.capLevel)
  return { level, degraded: level < lowest }
}
