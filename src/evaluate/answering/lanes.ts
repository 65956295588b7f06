import { openPackage } from '../../models/package.ts'
import { fixedLane, type Lane } from '../answers.ts'
import type { Asked, LaneSpec } from './block.ts'

/** The lanes of a package; without a certificate a routed lane stays at the full level, as `balanced` does. */
export function lanesOf(dir: string, specs: readonly LaneSpec[]): (prompts: readonly Asked[]) => Lane[] {
  const { manifest } = openPackage(dir)
  const full = manifest.levels.length - 1
  return () => specs.map((spec) => fixedLane(spec.kind === 'level' ? spec.level : full))
}
