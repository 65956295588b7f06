import type { Manifest } from '../../models/manifest.ts'
import type { RouteLimits } from '../../models/routing.ts'
import type { GenerateRequest, Sampling } from '../protocol.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { featuresOf } from './question.ts'
import { createRouter, type Router } from './router.ts'

/** Whether `balanced` is routed at present: only while its certificate holds. */
export interface Routes {
  certified: boolean
}

/**
 * The certificate was measured on greedy answers, so what is drawn at random or bent by penalties is outside it.
 */
export const isPlainGreedy = (s: Sampling): boolean =>
  s.temperature === 0 &&
  s.presencePenalty === 0 &&
  s.frequencyPenalty === 0 &&
  (s.repeatPenalty === 1 || s.repeatLastN === 0) &&
  s.logitBias.length === 0

/** The router of a request; null where the policy, the caller or a missing certificate have chosen the level already. */
export function routerFor(
  from: { readonly model: { readonly manifest: Manifest }; readonly tokenizer: Tokenizer; readonly routes?: Routes },
  request: GenerateRequest,
  promptIds: readonly number[],
): Router | null {
  const { routing, levels, shape } = from.model.manifest
  const limits = routing && limitsFor(request, routing, from.routes)
  if (!routing || !limits || routing.requests.length !== levels.length - 1) return null
  const features = featuresOf(request.input, promptIds, from.tokenizer, shape.vocab_size)
  return createRouter({ routing, limits, shares: levels.map(({ share }) => share), features, promptIds })
}

function limitsFor(
  { policy, level, sampling }: GenerateRequest,
  { balanced, eco }: { readonly balanced: RouteLimits; readonly eco: RouteLimits },
  routes: Routes | undefined,
): RouteLimits | null {
  if (level !== null || policy === 'exact') return null
  if (policy === 'eco') return eco
  // At no risk nothing leaves the full network, and nothing needs to be looked at.
  return routes?.certified && balanced.risk > 0 && isPlainGreedy(sampling) ? balanced : null
}
