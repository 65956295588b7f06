import type { ModelCost } from '../../board/work.ts'
import type { Method } from '../../compress/rivals.ts'
import { asIfCost, asIfModels } from '../../twin/as-if.ts'
import type { LaneSpec } from '../answering/block.ts'
import type { ArmInfo, Contest } from '../records.ts'

export interface Arm extends ArmInfo {
  readonly lane: LaneSpec
}

/** One package of the comparison, and the arms it gives. */
export interface Contestant {
  readonly name: ContestantName
  readonly dir: string
  readonly arms: readonly Arm[]
  /** What its runs cost on the board: those of the network the small model stands for, at this package's shares. */
  readonly cost: ModelCost
}

/** Orders the package's own is held against, at the same shares. */
export const baselines = ['magnitude', 'flap', 'random'] as const satisfies readonly Method[]
export type Baseline = (typeof baselines)[number]
export type ContestantName = 'deap' | 'fp32' | 'versus' | Baseline

export const referenceArm = 'int4'
export const primaryArm = 'routed'

const percent = (share: number): string => `${Math.round(share * 100)} %`

/** The arms of the package under test: its full level is the reference, the others and the routed one are held against it. */
export function deapArms(shares: readonly number[], routes: boolean): Arm[] {
  const full = shares.length - 1
  const levels = shares.slice(0, full).map(
    (share, level): Arm => ({
      arm: `level-${level}`,
      title: `DEAP level ${level}, ${percent(share)} of the weights`,
      kind: 'level',
      family: 'deap',
      share,
      lane: { kind: 'level', level },
    }),
  )
  return [
    {
      arm: referenceArm,
      title: 'dense int4',
      kind: 'reference',
      family: 'dense',
      share: 1,
      lane: { kind: 'level', level: full },
    },
    ...levels,
    routedArm(primaryArm, 'balanced'),
    // Without estimates there is nothing to be greedy with.
    ...(routes ? [routedArm('routed-eco', 'eco')] : []),
  ]
}

const routedArm = (arm: string, policy: 'balanced' | 'eco'): Arm => ({
  arm,
  title: `DEAP routed, ${policy}`,
  kind: 'routed',
  family: 'deap',
  share: null,
  lane: { kind: 'routed', policy },
})

/** Every level of a baseline below its full one, which is the dense network in another order. */
export const baselineArms = (name: Baseline, shares: readonly number[]): Arm[] =>
  shares.slice(0, -1).map((share, level) => ({
    arm: `${name}-${level}`,
    title: `${name === 'flap' ? 'FLAP-style' : name} pruning, ${percent(share)} of the weights`,
    kind: 'baseline',
    family: name,
    share,
    lane: { kind: 'level', level },
  }))

/** Another package's levels, its full one among them: the same network trained otherwise, say. */
export const versusArms = (id: string, shares: readonly number[]): Arm[] =>
  shares.map((share, level) => ({
    arm: `${id}-${level}`,
    title: `${id} level ${level}, ${percent(share)} of the weights`,
    kind: 'baseline',
    family: id,
    share,
    lane: { kind: 'level', level },
  }))

export const fp32Arms = (): Arm[] => [
  {
    arm: 'fp32',
    title: 'dense fp32',
    kind: 'baseline',
    family: 'dense',
    share: fp32Cost().weightBytes[0] / asIfModels[0].weightBytes,
    lane: { kind: 'level', level: 0 },
  },
]

/** The network whose joules are reported. */
export const energyOf = asIfModels[0].name

export function int4Cost(shares: readonly number[]): ModelCost {
  const cost = asIfCost(energyOf, shares)
  if (!cost) throw new RangeError(`${energyOf} has no cost`)
  return cost
}

/**
 * The same network in fp32: four bytes a weight, of which there is one for every two operations, and keys and values of
 * twice the size. Its arithmetic is counted at the rate of int4's, which flatters its prompts.
 */
export function fp32Cost(): ModelCost {
  const { flopsPerToken, kvBytesPerContextToken } = int4Cost([1])
  return {
    weightBytes: [4 * (flopsPerToken / 2)],
    kvBytesPerContextToken: 2 * kvBytesPerContextToken,
    flopsPerToken,
  }
}

/** Levels for the question of what 35 % fewer weight bytes cost. */
const lighterShare = 0.65

/** What is asked beside the comparison with the reference. */
export function contestsOf(arms: readonly ArmInfo[], all: readonly Contestant[]): Contest[] {
  const largest = (family: string): ArmInfo | undefined =>
    arms
      .filter((arm) => arm.family === family && arm.share !== null && arm.share <= lighterShare + 0.005)
      .sort((a, b) => (b.share ?? 0) - (a.share ?? 0))[0]
  const other = all.find(({ name }) => name === 'versus')?.arms[0]?.family
  const [own, others] = [largest('deap'), other === undefined ? undefined : largest(other)]
  return [
    {
      arm: primaryArm,
      against: 'random-routing',
      question: 'Does complexity choose the level better than chance, at equal joules?',
    },
    ...(own && others
      ? [{ arm: own.arm, against: others.arm, question: `What does ${other} make of as few weight bytes?` }]
      : []),
  ]
}
