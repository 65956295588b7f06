import type { Manifest } from '../models/manifest.ts'
import type { Groups } from './groups.ts'
import { priorUncertainty, type TokenEnergy } from './joules.ts'
import type { LevelScore } from './measure.ts'
import type { Method } from './rivals.ts'
import type { Calibration } from './text.ts'

export interface Provenance {
  readonly method: Method
  readonly seed: number
  readonly compensate: boolean
  readonly rounds: number
  readonly text: Calibration
  readonly groups: Groups
  readonly energy: TokenEnergy
  readonly scores: readonly LevelScore[]
  readonly tokens: readonly number[]
}

/** The manifest of a written package with what pruning knows of it. */
export function describePruning(manifest: Manifest, made: Provenance): Manifest {
  const { method, seed, compensate, rounds, text, groups, energy, scores, tokens } = made
  const total = tokens.reduce((a, b) => a + b, 0)
  const half = Math.ceil(text.samples.length / 2)
  const answers = text.samples.slice(half).every((sample) => sample.answers)
  const full = groups.bytes
  const without = (kind: 'heads' | 'mlp'): number => {
    const group = groups.all.find((one) => one.kind === kind)
    return group ? energy.joules(full) - energy.joules(full - group.bytes) : 0
  }
  return {
    ...manifest,
    levels: manifest.levels.map((level, i) => ({
      ...level,
      // The full level differs from itself by nothing.
      loss: level.share === 1 ? 0 : Math.max(0, sum(scores[i].kl) / total),
      ...(answers && { exact_match: sum(scores[i].right) / scores[i].right.length }),
    })),
    chunks: { ...manifest.chunks, order: method === 'deap' ? 'loss-per-joule' : method },
    energy_priors: {
      board: energy.board,
      source: energy.source,
      uncertainty: priorUncertainty,
      as_if: energy.asIf,
      gpu_hz: energy.gpuHz,
      context_tokens: energy.contextTokens,
      joules_per_token: manifest.levels.map(({ share }) => energy.joules(share * full)),
      group_joules: { mlp: without('mlp'), heads: without('heads') },
    },
    pruning: {
      method,
      seed,
      rounds,
      calibration_sha256: text.sha256,
      texts: half,
      held_out_texts: text.samples.length - half,
      compensated: compensate,
    },
  }
}

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0)
