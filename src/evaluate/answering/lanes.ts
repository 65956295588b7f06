import { featuresOf } from '../../engine/complexity/question.ts'
import { openTokenizer } from '../../engine/tokenizer.ts'
import { checkCertificate } from '../../models/certificate.ts'
import { openPackage } from '../../models/package.ts'
import { fixedLane, type Lane } from '../answers.ts'
import { routedLane } from '../certificate/lanes.ts'
import type { Asked, LaneSpec } from './block.ts'

/** The lanes of a package, for prompts as they come. Without a valid certificate `balanced` stays at the full level. */
export function lanesOf(dir: string, specs: readonly LaneSpec[]): (prompts: readonly Asked[]) => Lane[] {
  const { manifest } = openPackage(dir)
  const { routing, shape, levels } = manifest
  const shares = levels.map(({ share }) => share)
  const certified = checkCertificate(dir, manifest).state === 'valid'
  const tokenizer = openTokenizer(dir)
  return (prompts) => {
    const prepared = prompts.map(({ promptIds, messages }) => ({
      promptIds,
      features: featuresOf({ messages }, promptIds, tokenizer, shape.vocab_size),
      answer: null,
      stratum: null,
    }))
    return specs.map((spec) => {
      if (spec.kind === 'level') return fixedLane(spec.level)
      if (!routing || (spec.policy === 'balanced' && !certified)) return fixedLane(shares.length - 1)
      return routedLane(routing, routing[spec.policy], shares, prepared)
    })
  }
}
