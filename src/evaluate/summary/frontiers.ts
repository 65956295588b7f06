import { energyAt, epsilonIndicator, hypervolume, nonDominated, type Point } from '../statistics/pareto.ts'
import type { Column, Draws } from './draws.ts'
import type { Frontiers, LastPoints } from './report.ts'
import { type ArmTable, type Tables, total } from './table.ts'

/** The family whose order of groups the others are held against. */
const own = 'deap'

/** Every family may also use the dense network: a pruned one lies beside it in the same package. */
export function frontiers(tables: Tables, draws: Draws): Frontiers {
  const { reference, arms } = tables
  const fixed = arms.filter((table) => table !== reference && table.run.share !== null && isInt4(table))
  const families = [...new Set(fixed.map(({ run }) => run.family))].map((family) => ({
    family,
    members: [reference, ...fixed.filter(({ run }) => run.family === family)],
  }))
  const routed = arms.filter(({ run }) => run.kind === 'routed' && run.family === own)
  const levels = families.find(({ family }) => family === own)
  if (levels && routed.length > 0) families.push({ family: `${own} + routed`, members: [...levels.members, ...routed] })

  const volume = (points: readonly Point[]): number => hypervolume(points, cornerOf(points[0]))
  const rows = families.map(({ family, members }) => {
    const points = members.map(pointOf)
    const best = nonDominated(points)
    return {
      family,
      points: members.map(({ run }, i) => ({
        arm: run.arm,
        decodeJoules: points[i].energy,
        errorPercent: 100 * points[i].error,
        best: best.includes(i),
      })),
      hypervolume: draws.of(members.flatMap(columnsOf), (means) => volume(pointsOf(means))),
    }
  })
  const corner = cornerOf(pointOf(reference))
  return {
    corner: { decodeJoules: corner.energy, errorPercent: 100 * corner.error },
    families: rows,
    contests: levels ? families.filter((other) => isRival(other.family)).map((other) => contest(levels, other)) : [],
  }

  function contest(a: (typeof families)[number], b: (typeof families)[number]): Frontiers['contests'][number] {
    const columns = [...a.members, ...b.members].flatMap(columnsOf)
    const split = (means: readonly number[]): readonly [number, number] => {
      const points = pointsOf(means)
      return [volume(points.slice(0, a.members.length)), volume(points.slice(a.members.length))]
    }
    return {
      family: a.family,
      against: b.family,
      ratio: draws.of(columns, (means) => {
        const [x, y] = split(means)
        return x / y
      }),
      difference: draws.of(columns, (means) => {
        const [x, y] = split(means)
        return x - y
      }),
      epsilon: epsilonIndicator(a.members.map(pointOf), b.members.map(pointOf)),
    }
  }
}

const isInt4 = ({ run }: ArmTable): boolean => run.family !== 'dense'
const isRival = (family: string): boolean => !family.startsWith(own)

/** deap.md §6.2: a tenth more than the dense network's energy, ten points more than its errors. */
const cornerOf = (dense: Point): Point => ({ energy: 1.1 * dense.energy, error: dense.error + 0.1 })

const columnsOf = ({ run: { arm } }: ArmTable): Column[] => [
  { arm, what: 'decodeJoules' },
  { arm, what: 'correct' },
]

const pointOf = ({ main, correct }: ArmTable): Point => ({
  energy: total(main.decodeJoules) / correct.length,
  error: 1 - total(correct) / correct.length,
})

const pointsOf = (means: readonly number[]): Point[] =>
  Array.from({ length: means.length / 2 }, (_, i) => ({ energy: means[2 * i], error: 1 - means[2 * i + 1] }))

/** How much of the dense network's energy buys the last `points` of its accuracy, read off the frontier of the levels. */
export function lastPoints({ reference, arms }: Tables, draws: Draws, points = 2): LastPoints | null {
  const members = [reference, ...arms.filter(({ run }) => run.family === own && run.kind === 'level')]
  if (members.length < 2) return null
  const share = draws.of(members.flatMap(columnsOf), (means) => {
    const all = pointsOf(means)
    const least = Math.min(...all.map(({ error }) => error))
    const best = Math.min(...all.filter(({ error }) => error === least).map(({ energy }) => energy))
    return 1 - (energyAt(all, least + points / 100) ?? best) / best
  })
  return { points, share }
}
