import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { calibrateKv } from '../engine/calibrate.ts'
import { returnMemory, tidy } from '../engine/ort/allocator.ts'
import { loadOrt, type Ort } from '../engine/ort/api.ts'
import { makePackage, withPool, writeManifest, writePackage } from '../models/import.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Quantisation, Rounding } from '../models/onnx/weights.ts'
import { hashFile, openPackage } from '../models/package.ts'
import { importKey } from '../models/pipeline/identity.ts'
import type { OnProgress } from '../models/pipeline/progress.ts'
import type { Workspace } from '../models/pipeline/workspace.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import type { OnStep } from './calibration.ts'
import { decide } from './decide.ts'
import type { EliminationOptions, Round } from './eliminate.ts'
import type { EnergyOptions, TokenEnergy } from './joules.ts'
import type { LevelChoice } from './levels.ts'
import { roundLine } from './log.ts'
import { type LevelScore, measurePackage } from './measure.ts'
import type { Memory } from './memory.ts'
import { describePruning } from './provenance.ts'
import type { Method } from './rivals.ts'
import { openState } from './state.ts'
import { beginningOf, readCalibrationText } from './text.ts'

export interface PruneOptions extends Partial<EliminationOptions> {
  /** JSON Lines of conversations or text, or plain text. */
  readonly calibration: string
  readonly energy: EnergyOptions
  readonly method?: Method
  readonly quantisation?: Quantisation
  readonly block?: number
  readonly rounding?: Rounding
  /** At most this many nested sub-networks, the full one among them. */
  readonly levels?: number
  /** Wanted shares of the full network's bytes instead, rising to 1; they are kept to, so nothing is searched. */
  readonly shares?: readonly number[]
  /** Shares that the search may begin at in place of the order's own choice, if they are worth more. */
  readonly orAt?: readonly number[]
  /** Whether means stand for what is dropped; by default as the method does. */
  readonly compensate?: boolean
  /** Texts drawn from the file; half of them are scored on, on the others the losses of levels are measured. */
  readonly texts?: number
  readonly threads?: number
  /** Keep keys and values as int8, if that passes: in small models too, where it saves nothing, but runs of several rows are then those of each row to the bit. */
  readonly int8Kv?: boolean
  readonly onStep?: OnStep
  readonly onProgress?: OnProgress
}

export interface Pruned {
  readonly manifest: Manifest
  readonly energy: TokenEnergy
  readonly choice: LevelChoice
  readonly rounds: readonly Round[]
  /** What the package's levels made of each held-out range, smallest level first, and the tokens of each. */
  readonly scores: readonly LevelScore[]
  readonly tokens: readonly number[]
  readonly memory: Memory
  readonly seconds: number
}

export const logFile = 'prune-log.jsonl'

/**
 * Prunes a checkpoint, as `models import` takes it, into a package with nested levels. After a kill, the same call goes on where
 * it stopped. Throws what `makePackage` throws, and `calibration_text`.
 */
export async function pruneCheckpoint(source: string, out: string, options: PruneOptions): Promise<Pruned> {
  const startedAtMs = performance.now()
  returnMemory()
  const ort = loadOrt()
  return makePackage({ source, out }, async (checkpoint, workspace) => {
    const made = await prune(ort, source, checkpoint, workspace, options)
    return { ...made, seconds: (performance.now() - startedAtMs) / 1000 }
  })
}

async function prune(
  ort: Ort,
  source: string,
  checkpoint: Checkpoint,
  workspace: Workspace,
  options: PruneOptions,
): Promise<Omit<Pruned, 'seconds'>> {
  const { method = 'deap', seed = 1, texts = 256 } = options
  const threads = options.threads ?? availableParallelism()
  const state = openState(workspace.folder, keyOf(checkpoint, options))
  const text = readCalibrationText(options.calibration, checkpoint, state.folder, texts, seed)
  const { samples } = text
  // What was measured with has gone when the package is written.
  const found = decide(ort, source, checkpoint, state, samples, options)
  const { groups, energy, compensate, chain, choice, tokens, heldOut, memory, plan } = found
  tidy()
  const written = await withPool(checkpoint, workspace, options.threads, (pool) =>
    writePackage(checkpoint, workspace, pool, plan, (progress) => {
      // Strips of a part are garbage when it is written.
      tidy()
      options.onProgress?.(progress)
    }),
  )
  const scores = measurePackage(ort, workspace.folder, written, threads, samples, heldOut)
  const manifest = describePruning(written, {
    method,
    seed,
    compensate,
    rounds: chain.rounds.length,
    text,
    groups,
    energy,
    scores,
    tokens,
  })
  const log = [
    {
      method,
      seed,
      compensate,
      calibration_sha256: text.sha256,
      board: energy.board,
      energy: energy.source,
      gpu_hz: energy.gpuHz,
    },
    ...chain.rounds.map((round) => roundLine(groups, round)),
    ...choice.points.map(({ place, share, joules, loss }) => ({ chain: place, share, joules, kl: loss })),
    ...manifest.levels.map((level, i) => ({
      level: i,
      ...level,
      joules: manifest.energy_priors?.joules_per_token[i],
    })),
  ]
  writeFileSync(join(workspace.folder, logFile), log.map((line) => `${JSON.stringify(line)}\n`).join(''), {
    flush: true,
  })
  const files = { ...manifest.files, [logFile]: hashFile(join(workspace.folder, logFile)) }
  writeManifest(workspace.folder, { ...manifest, files })
  tidy()
  if (options.int8Kv) calibrateKv(ort, workspace.folder, threads, beginningOf(samples, checkpoint.shape.contextTokens))
  const whole = openPackage(workspace.folder).manifest
  state.discard()
  return { manifest: whole, energy, choice, rounds: chain.rounds, scores, tokens, memory: memory() }
}

/** The same key means that what an earlier run left is what this one would make. */
export function keyOf(checkpoint: Checkpoint, { energy, ...options }: PruneOptions): string {
  const settings = Object.entries(options).filter(([, value]) => typeof value !== 'function' && value !== undefined)
  const { board, ...rest } = energy
  const { sha256 } = hashFile(options.calibration)
  return createHash('sha256')
    .update(JSON.stringify([settings.sort(), board.id, rest, sha256]))
    .update(importKey(checkpoint.tensors, [], {}))
    .digest('hex')
}
