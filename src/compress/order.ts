import { tidy } from '../engine/ort/allocator.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import type { Calibrated, OnStep } from './calibration.ts'
import { bytesOf, follow, type Link } from './chain.ts'
import { type EliminationOptions, eliminate, type Progress, type Round } from './eliminate.ts'
import { fullSubnet, type Groups, type Subnet } from './groups.ts'
import type { TokenEnergy } from './joules.ts'
import type { LayerMeans } from './network.ts'
import { type Method, rivalOrder, squaresOf } from './rivals.ts'
import type { State } from './state.ts'

export interface OrderOptions extends Partial<EliminationOptions> {
  readonly onStep?: OnStep
}

/** An order of dropping groups. */
export interface Chain {
  readonly links: readonly Link[]
  readonly means: readonly LayerMeans[]
  readonly rounds: readonly Round[]
}

const defaults: Omit<EliminationOptions, 'seed'> = { floorShare: 0.42, roundShare: 0.05, ablateShare: 0.25 }

/** The order of loss per joule, a round at a time; finished rounds are not done again. */
export function byLoss(
  bench: Calibrated,
  state: State,
  groups: Groups,
  energy: TokenEnergy,
  options: OrderOptions,
): Chain {
  const settings = eliminationOf(options)
  const rounds: Round[] = []
  let progress: Progress = { subnet: fullSubnet(groups), means: bench.noMeans }
  for (let round = 1; ; round++) {
    const found = state.find<Round & Progress>(`round-${round}`)
    if (found === undefined) break
    rounds.push(found)
    progress = found
  }
  const gauge = {
    fluctuate: bench.fluctuate,
    divergences: (subnets: readonly Subnet[], means: readonly LayerMeans[]) =>
      bench.divergences(subnets, means, bench.places.scored),
    joules: joulesOf(groups, energy),
  }
  for (const found of eliminate(groups, gauge, settings, progress, rounds.length + 1)) {
    state.keep(`round-${found.round}`, found)
    tidy()
    rounds.push(found)
    progress = found
    const dropped = 1 - bytesOf(groups, found.subnet) / groups.bytes
    options.onStep?.(
      100 * Math.min(dropped, 1 - settings.floorShare),
      100 * (1 - settings.floorShare),
      '% of the bytes dropped',
    )
  }
  return { links: rounds.flatMap(({ links }) => links), means: progress.means, rounds }
}

/** A rival's order, from one look at the full network. */
export function byOrder(
  method: Exclude<Method, 'deap' | 'trained'>,
  bench: Calibrated,
  checkpoint: Checkpoint,
  groups: Groups,
  energy: TokenEnergy,
  options: OrderOptions,
): Chain {
  const { seed, floorShare } = eliminationOf(options)
  const dense = bench.fluctuate(fullSubnet(groups), bench.noMeans)
  const squares = method === 'magnitude' ? squaresOf(checkpoint) : []
  const order = rivalOrder(method, groups, dense, squares, bench.channels, seed)
  const joules = joulesOf(groups, energy)
  const links = follow(groups, order, floorShare * groups.bytes).map(
    (group): Link => ({ group, loss: 0, joules: joules(groups.all[group]), measured: false }),
  )
  return { links, means: dense.means, rounds: [] }
}

const eliminationOf = ({ seed = 1, ...options }: OrderOptions): EliminationOptions => ({
  seed,
  floorShare: options.floorShare ?? defaults.floorShare,
  roundShare: options.roundShare ?? defaults.roundShare,
  ablateShare: options.ablateShare ?? defaults.ablateShare,
})

const joulesOf =
  (groups: Groups, energy: TokenEnergy) =>
  ({ bytes }: { readonly bytes: number }): number =>
    energy.joules(groups.bytes) - energy.joules(groups.bytes - bytes)
