import type { Logistic, Routing } from '../../models/routing.ts'
import type { PromptFeatures } from './features.ts'
import type { Uncertainty } from './uncertainty.ts'

/** What is known of a request when its first token is decided: by the full network, so all of it is free. */
export type RequestSignals = PromptFeatures & {
  readonly first_margin: number
  readonly first_entropy: number
}

/** What is known of one token of the answer when its row of logits is there. */
export interface TokenSignals {
  readonly margin: number
  readonly entropy: number
  /** Rolling mean of the entropy of the tokens before (C4). */
  readonly rolling: number
  /** Tokens that the prompt has repeated up to here, over the tokens of the answer (C6). */
  readonly copied: number
  /** 1 when the text looked up in the prompt goes on otherwise (C5): a draft would be refused here. */
  readonly contradicted: number
  /** Share of the weights that the row was computed without. */
  readonly skipped: number
}

export const requestSignals = (features: PromptFeatures, first: Uncertainty): RequestSignals => ({
  ...features,
  first_margin: first.margin,
  first_entropy: first.entropy,
})

/** P(event | signals) by a logistic model; signals it does not name do not count. */
export function probability({ bias, weights }: Logistic, signals: object): number {
  let logit = bias
  const known = signals as Readonly<Record<string, number>>
  for (const name in weights) logit += weights[name] * known[name]
  return 1 / (1 + Math.exp(-logit))
}

/**
 * P(level j alone answers wrongly | signals) for every level below the full one. Never smaller for a smaller level: what
 * the models of two levels leave to chance must not make the smaller one look better.
 */
export function requestRisks({ requests }: Pick<Routing, 'requests'>, signals: RequestSignals): readonly number[] {
  const risks = requests.map((model) => probability(model, signals))
  for (let level = risks.length - 2; level >= 0; level--) risks[level] = Math.max(risks[level], risks[level + 1])
  return risks
}

/**
 * Signals in the form in which the logistic model of a token takes them: by their logarithms, a margin by its distance from both ends.
 * A well-trained model is nearly always nearly sure, and what sets a doubtful token apart is by how many powers of ten it is less so.
 */
export function doubtSignals({ margin, entropy, rolling, ...others }: TokenSignals): Readonly<Record<string, number>> {
  const sure = Math.min(1 - faint, Math.max(faint, margin))
  const magnitude = (value: number): number => Math.log(Math.max(faint, value))
  return { ...others, margin: Math.log(sure / (1 - sure)), entropy: magnitude(entropy), rolling: magnitude(rolling) }
}

/** Below this, differences of float32 logits and of the table of powers say nothing. */
const faint = 1e-6
