import { availableParallelism } from 'node:os'
import { tidy } from '../engine/ort/allocator.ts'
import type { Ort } from '../engine/ort/api.ts'
import { formOf } from '../models/import.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import { type Calibrated, calibrate, type OnStep } from './calibration.ts'
import { bytesOf } from './chain.ts'
import type { Counts, GateProblem } from './gates.ts'
import { fullSubnet, type Groups, groupsOf, type Subnet } from './groups.ts'
import { type EnergyOptions, type TokenEnergy, tokenEnergy } from './joules.ts'
import { useLost } from './judge.ts'
import { chooseSubnets, keepSubnets } from './levels.ts'
import { watchMemory } from './memory.ts'
import { openNetwork } from './network.ts'
import { byLoss, byOrder, type Chain } from './order.ts'
import { tokensOf } from './passes.ts'
import { layerLevelsOf, shiftsOf } from './plan.ts'
import type { PruneOptions } from './prune.ts'
import { type Found, refine } from './refine.ts'
import { compensates, type Method } from './rivals.ts'
import type { State } from './state.ts'
import type { Sample } from './text.ts'
import { trainedSubnets } from './trained.ts'

/** Finds the levels: everything that is measured on the checkpoint. */
export function decide(
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
    const full = {
      right: bench.totals([fullSubnet(groups)], means, scored).right[0],
      texts: scored.length,
      tokens: scored.reduce((sum, place) => sum + tokensOf(samples, place), 0),
    }
    const lost = (subnets: readonly Subnet[]) => useLost(bench.totals(subnets, means, scored), full)
    const choice = trained
      ? keepSubnets(trained, yardstick)
      : chooseSubnets({
          ...yardstick,
          links: chain.links,
          lost,
          // Wanted shares are kept to.
          ...(!options.shares && {
            search: (problem: GateProblem, start: Counts) => searched(problem, start, lost, state, onStep),
          }),
          count: levels,
          shares: options.shares,
          orAt: options.orAt,
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
