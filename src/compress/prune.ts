import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { calibrateKv } from '../engine/calibrate.ts'
import { returnMemory, tidy } from '../engine/ort/allocator.ts'
import { loadOrt, type Ort } from '../engine/ort/api.ts'
import { formOf, makePackage, withPool, writeManifest, writePackage } from '../models/import.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Quantisation, Rounding } from '../models/onnx/weights.ts'
import { hashFile, openPackage } from '../models/package.ts'
import { importKey } from '../models/pipeline/identity.ts'
import type { OnProgress } from '../models/pipeline/progress.ts'
import type { Workspace } from '../models/pipeline/workspace.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import { type Calibrated, calibrate, type OnStep } from './calibration.ts'
import { bytesOf } from './chain.ts'
import type { EliminationOptions, Round } from './eliminate.ts'
import type { Counts, GateProblem } from './gates.ts'
import { fullSubnet, type Groups, groupsOf, type Subnet } from './groups.ts'
import { type EnergyOptions, type TokenEnergy, tokenEnergy } from './joules.ts'
import { useLost } from './judge.ts'
import { chooseSubnets, keepSubnets, type LevelChoice } from './levels.ts'
import { roundLine } from './log.ts'
import { type LevelScore, measurePackage } from './measure.ts'
import { type Memory, watchMemory } from './memory.ts'
import { openNetwork } from './network.ts'
import { byLoss, byOrder, type Chain } from './order.ts'
import { tokensOf } from './passes.ts'
import { layerLevelsOf, shiftsOf } from './plan.ts'
import { describePruning } from './provenance.ts'
import { type Found, refine } from './refine.ts'
import { compensates, type Method } from './rivals.ts'
import { openState, type State } from './state.ts'
import { beginningOf, readCalibrationText, type Sample } from './text.ts'
import { trainedSubnets } from './trained.ts'

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
  /** Wanted shares of the full network's bytes instead, rising to 1. */
  readonly shares?: readonly number[]
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

/** Finds the levels: everything that is measured on the checkpoint. */
function decide(
  ort: Ort,
  source: string,
  checkpoint: Checkpoint,
  state: State,
  samples: readonly Sample[],
  options: PruneOptions,
) {
  const { method = 'deap', levels = 6, onStep = () => {} } = options
  const threads = options.threads ?? availableParallelism()
  const form = formOf(checkpoint, { ...options, quantisation: options.quantisation ?? 'int4' })
  const compensate = options.compensate ?? compensates[method]
  const { shape } = checkpoint
  const groups = groupsOf(shape, form)
  const trained = method === 'trained' ? trainedSubnets(source, groups) : null
  const network = openNetwork(ort, state.folder, shape, groups, threads)
  // From here on weights are read: what is resident now is the process's own.
  const memory = watchMemory(checkpoint)
  const bench = calibrate(state, { checkpoint, form, groups, network, samples, method, onStep })
  try {
    const energy = energyOf(checkpoint, groups, samples, options.energy)
    const chain = chainOf(method, bench, state, checkpoint, groups, energy, options)
    const means = compensate ? chain.means : bench.noMeans
    const { heldOut } = bench.places
    const tokens = heldOut.map((place) => tokensOf(samples, place))
    const yardstick = {
      groups,
      joulesOf: (subnet: Subnet) => energy.joules(bytesOf(groups, subnet)),
      measure: (subnets: readonly Subnet[]) => {
        const { kl, right } = bench.answer(subnets, means, heldOut)
        return kl.map((sums, i) => ({ kl: sums, right: right[i] }))
      },
      heldOutTokens: tokens.reduce((a, b) => a + b, 0),
    }
    const { scored } = bench.places
    const scoredTokens = scored.reduce((sum, place) => sum + tokensOf(samples, place), 0)
    const full = bench.answer([fullSubnet(groups)], means, scored).right[0]
    const lost = (subnets: readonly Subnet[]) => useLost(bench.answer(subnets, means, scored), full, scoredTokens)
    const choice = trained
      ? keepSubnets(trained, yardstick)
      : chooseSubnets({
          ...yardstick,
          links: chain.links,
          lost,
          ...(method === 'deap' && {
            search: (problem: GateProblem, start: Counts) => searched(problem, start, lost, state, onStep),
          }),
          count: levels,
          shares: options.shares,
        })
    const plan = {
      form,
      levels: layerLevelsOf(shape, groups, choice.subnets, bench.channels),
      ...(compensate &&
        choice.subnets.length > 1 && {
          shifts: shiftsOf(shape, groups, choice.subnets, means, bench.network, bench.weights),
        }),
    }
    return { groups, energy, compensate, chain, choice, tokens, heldOut, memory, plan }
  } finally {
    bench.close()
  }
}

/** The search for better levels, a round at a time; finished rounds are not done again. */
function searched(
  problem: GateProblem,
  start: Counts,
  lost: (subnets: readonly Subnet[]) => ArrayLike<number>,
  state: State,
  onStep: OnStep,
): Counts {
  const begun = state.find<Found>('levels')
  let { counts } = begun ?? { counts: start }
  for (const found of refine(problem, begun ?? { counts }, lost)) {
    state.keep('levels', found)
    tidy()
    counts = found.counts
    onStep(found.round, found.of, 'rounds of the search for levels')
  }
  return counts
}

/** What is dropped, and in which order; nothing where training has settled it. */
function chainOf(
  method: Method,
  bench: Calibrated,
  state: State,
  checkpoint: Checkpoint,
  groups: Groups,
  energy: TokenEnergy,
  options: PruneOptions,
): Chain {
  if (method === 'trained') return { links: [], means: bench.noMeans, rounds: [] }
  if (method === 'deap') return byLoss(bench, state, groups, energy, options)
  return byOrder(method, bench, checkpoint, groups, energy, options)
}

function energyOf(
  { shape }: Checkpoint,
  groups: Groups,
  samples: readonly Sample[],
  options: EnergyOptions,
): TokenEnergy {
  const contexts = samples.flatMap(({ ranges }) => ranges.map(({ from, to }) => (from + to) / 2))
  const weights = groups.all.reduce((sum, group) => sum + group.weights, shape.vocabSize * shape.hiddenSize)
  const kvBytesPerToken = 8 * shape.layers * shape.kvHeads * shape.headSize
  const contextTokens = Math.round(contexts.reduce((a, b) => a + b, 0) / contexts.length)
  return tokenEnergy(options, { bytes: groups.bytes, weights, kvBytesPerToken }, contextTokens)
}

/** The same key means that what an earlier run left is what this one would make. */
function keyOf(checkpoint: Checkpoint, { energy, ...options }: PruneOptions): string {
  const settings = Object.entries(options).filter(([, value]) => typeof value !== 'function' && value !== undefined)
  const { board, ...rest } = energy
  const { sha256 } = hashFile(options.calibration)
  return createHash('sha256')
    .update(JSON.stringify([settings.sort(), board.id, rest, sha256]))
    .update(importKey(checkpoint.tensors, [], {}))
    .digest('hex')
}
