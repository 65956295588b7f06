import fc from 'fast-check'
import t from 'tap'
import { type MixedDesign, mixedAnova } from '../src/evaluate/statistics/anova.ts'
import { bca, resampledMeans } from '../src/evaluate/statistics/bootstrap.ts'
import {
  binomialLower,
  binomialUpper,
  chiSquareUpper,
  fUpper,
  normalCdf,
  tQuantile,
  tTwoSided,
} from '../src/evaluate/statistics/distributions.ts'
import { holm } from '../src/evaluate/statistics/holm.ts'
import { mean, variance } from '../src/evaluate/statistics/moments.ts'
import { energyAt, epsilonIndicator, hypervolume, nonDominated } from '../src/evaluate/statistics/pareto.ts'
import {
  cochranQ,
  type Discordance,
  discordance,
  equivalence,
  mcnemar,
  nonInferiority,
  tangoInterval,
  tangoZ,
  wilson,
} from '../src/evaluate/statistics/proportions.ts'
import { powerLaw, regress } from '../src/evaluate/statistics/regression.ts'
import { differences, pairedLogT, pairedT, welchT } from '../src/evaluate/statistics/t-test.ts'
import { wilcoxon } from '../src/evaluate/statistics/wilcoxon.ts'

const seeded = { seed: 20261124, numRuns: 200 }

/** Checks each number to this relative error. */
const near = (
  t: { ok(value: boolean, what: string): unknown },
  got: number,
  wanted: number,
  relative = 1e-6,
  what = '',
): void => {
  const apart = Math.abs(got - wanted) / Math.max(Math.abs(wanted), 1e-300)
  t.ok(apart <= relative, `${what} ${got} should be ${wanted}`)
}

// Student's sleep data (1908), as R ships it: hours gained with two drugs, ten patients.
const first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
const second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

t.test('distributions, at ordinary and at many degrees of freedom', async (t) => {
  near(t, tTwoSided(-2, 10), 2 * 0.0366940173853702, 1e-11)
  near(t, tTwoSided(2, 9999), 2 * 0.02276363168075505, 1e-9)
  near(t, tQuantile(0.975, 9), 2.262157162798205, 1e-9)
  near(t, tQuantile(0.975, 269_919), 1.9599727734051844, 1e-8)
  near(t, fUpper(4.5, 2.7, 20.3), 0.016430613028192535, 1e-9)
  near(t, fUpper(3, 9, 270_000), 0.0013993004858553024, 1e-8)
  near(t, chiSquareUpper(34.71, 1), 3.826608903514134e-9, 1e-9)
  t.equal(chiSquareUpper(1e5, 17), 0)
  t.same([-Infinity, -50, 50, Infinity].map(normalCdf), [0, 0, 1, 1])
  t.equal(tTwoSided(1e6, 9999), 0)
  near(t, binomialLower(30, 3000, 0.015), 0.011122301842658005, 1e-9)
  near(t, binomialUpper(31, 3000, 0.015), 1 - 0.011122301842658005, 1e-9)
})

t.test('paired and Welch’s t on Student’s sleep data give what R prints', async (t) => {
  const paired = pairedT(differences(first, second))
  near(t, paired.t, -4.0621, 1e-4)
  near(t, paired.p, 0.002833, 1e-3)
  near(t, paired.difference.low, -2.4598858, 1e-7)
  near(t, paired.difference.high, -0.7001142, 1e-7)
  near(t, paired.dz, paired.t / Math.sqrt(10), 1e-12)
  const welch = welchT(first, second)
  near(t, welch.t, -1.8608, 1e-4)
  near(t, welch.df, 17.776, 1e-4)
  near(t, welch.p, 0.07939, 1e-4)
  near(t, welch.difference.low, -3.3654832, 1e-7)
  near(t, welch.difference.high, 0.2054832, 1e-6)
})

t.test('ratios are tested on logarithms; pairs with a zero are counted, not lost', async (t) => {
  const test = pairedLogT([4, 8, 2, 0], [2, 4, 1, 1])
  near(t, test.ratio.value, 0.5, 1e-12)
  t.equal(test.leftOut, 1)
  t.equal(test.n, 3)
})

t.test('Wilcoxon’s test: exact on R’s depression scores, normal with ties on the sleep data', async (t) => {
  const before = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3]
  const after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
  const exact = wilcoxon(differences(before, after))
  t.match(exact, { v: 40, n: 9, method: 'exact' })
  near(t, exact.p, 0.0390625, 1e-12)
  const normal = wilcoxon(differences(first, second))
  t.match(normal, { v: 0, n: 9, method: 'normal', r: -1 })
  near(t, normal.p, 0.009090698015925044, 1e-9)
  // The table's two-sided 5 % bound for ten pairs is a rank sum of 8.
  const ten = (v: number): number => wilcoxon(signed(10, v)).p
  t.ok(ten(8) <= 0.05 && ten(9) > 0.05)
})

/** Differences with ranks 1 to n whose positive ones sum to v (v ≤ n). */
const signed = (n: number, v: number): number[] => Array.from({ length: n }, (_, i) => (i + 1 === v ? i + 1 : -(i + 1)))

t.test('Tango’s interval on published tables', async (t) => {
  const rows: readonly (readonly [Discordance, number, number])[] = [
    // Soft contact lenses, Tango 1998: 44 pairs, one discordant.
    [{ onlyFirst: 0, onlySecond: 1, n: 44 }, -0.118, 0.059],
    // Airway reactivity, Bentur 2009, in Fagerland, Lydersen and Laake 2014.
    [{ onlyFirst: 1, onlySecond: 7, n: 21 }, -0.517, -0.026],
    // Newcombe 1998, 50 pairs.
    [{ onlyFirst: 12, onlySecond: 2, n: 50 }, 0.0611, 0.3447],
  ]
  for (const [pair, low, high] of rows) {
    const interval = tangoInterval(pair)
    t.ok(Math.abs(interval.low - low) < 6e-4 && Math.abs(interval.high - high) < 6e-4, JSON.stringify(interval))
  }
})

const pairs = fc
  .record({ onlyFirst: fc.nat(60), onlySecond: fc.nat(60), same: fc.integer({ min: 1, max: 4000 }) })
  .map(({ onlyFirst, onlySecond, same }) => ({ onlyFirst, onlySecond, n: onlyFirst + onlySecond + same }))

t.test(
  'Tango: the bounds are where the statistic is, arms can be swapped, and verdicts follow the interval',
  async () => {
    fc.assert(
      fc.property(pairs, (pair) => {
        const { value, low, high } = tangoInterval(pair)
        const swapped = tangoInterval({ ...pair, onlyFirst: pair.onlySecond, onlySecond: pair.onlyFirst })
        const margin = -100 * low
        return (
          low <= value &&
          value <= high &&
          Math.abs(tangoZ(pair, low) - 1.959964) < 1e-4 &&
          Math.abs(swapped.low + high) < 1e-9 &&
          nonInferiority(pair, margin + 0.01).passes &&
          !nonInferiority(pair, margin - 0.01).passes
        )
      }),
      seeded,
    )
  },
)

t.test('without an effect to find, at most 2.5 % of runs at the margin are called non-inferior', async (t) => {
  // Truth: exactly the margin of 1.5 points is lost, 3 % of pairs are discordant the one way and 1.5 % the other.
  let state = 1
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  let [passed, covered] = [0, 0]
  for (let run = 0; run < 1000; run++) {
    const pair = { onlyFirst: 0, onlySecond: 0, n: 1000 }
    for (let i = 0; i < pair.n; i++) {
      const u = uniform()
      if (u < 0.015) pair.onlyFirst++
      else if (u < 0.045) pair.onlySecond++
    }
    const { low, high } = tangoInterval(pair)
    if (nonInferiority(pair, 1.5).passes) passed++
    if (low <= -0.015 && -0.015 <= high) covered++
  }
  t.ok(passed <= 42, `${passed} of 1000`)
  t.ok(covered >= 932 && covered <= 968, `${covered} of 1000 intervals cover the truth`)
})

t.test('McNemar exact, TOST and Cochran’s Q', async (t) => {
  // Approval of a prime minister, Agresti 1990: 86 and 150 of 1600 changed their minds.
  near(t, mcnemar({ onlyFirst: 150, onlySecond: 86, n: 1600 }), 3.7159361395713866e-5, 1e-9)
  near(t, mcnemar({ onlyFirst: 1, onlySecond: 7, n: 21 }), 2 * (9 / 256), 1e-12)
  t.equal(mcnemar({ onlyFirst: 0, onlySecond: 0, n: 9 }), 1)
  t.ok(equivalence({ onlyFirst: 50, onlySecond: 50, n: 10_000 }, 1.5).equivalent)
  t.notOk(equivalence({ onlyFirst: 50, onlySecond: 180, n: 10_000 }, 1.5).equivalent)
  t.notOk(equivalence({ onlyFirst: 180, onlySecond: 50, n: 10_000 }, 1.5).equivalent, 'better is not equivalent')
  // Of two arms, Q is McNemar's χ² = (b − c)² / (b + c).
  const a = Uint8Array.from([1, 1, 1, 1, 1, 0, 0, 1, 0, 1])
  const b = Uint8Array.from([0, 0, 1, 0, 0, 1, 0, 1, 0, 0])
  const { onlyFirst, onlySecond } = discordance(a, b)
  near(t, cochranQ([a, b]).q, (onlyFirst - onlySecond) ** 2 / (onlyFirst + onlySecond), 1e-12)
  t.match(cochranQ([a, a, a]), { q: 0, df: 2, p: 1 })
  // Wilson 1927: no hit in ten is at most 27.8 %.
  near(t, wilson(0, 10).high, 0.2775, 1e-3)
})

t.test('analysis of variance of a textbook’s table: twelve children at four ages', async (t) => {
  // Maxwell and Delaney, Designing Experiments and Analyzing Data, chapter 11.
  const children = [
    [108, 96, 110, 122],
    [103, 117, 127, 133],
    [96, 107, 106, 107],
    [84, 85, 92, 99],
    [118, 125, 125, 116],
    [110, 107, 96, 91],
    [129, 128, 123, 128],
    [90, 84, 101, 113],
    [84, 104, 100, 88],
    [96, 100, 103, 105],
    [105, 114, 105, 112],
    [113, 117, 132, 130],
  ]
  const rows = mixedAnova(design(children, [], 4, 1))
  t.equal(rows.length, 1)
  near(t, rows[0].f, 3.03, 2e-3)
  near(t, rows[0].epsilon, 0.6, 0.03)
  near(t, rows[0].etaSquared, 552 / (552 + 6624 + 2006), 1e-3)
})

const design = (
  rows: readonly (readonly number[])[],
  group: readonly number[],
  arms: number,
  states: number,
): MixedDesign => ({
  subjects: rows.map((row) => Float64Array.from(row)),
  group: group.length > 0 ? group : rows.map(() => 0),
  groups: Math.max(0, ...group) + 1,
  first: { name: 'arm', size: arms },
  second: { name: 'state', size: states },
  between: 'stratum',
})

t.test('with two levels everywhere, each F is the square of a t', async (t) => {
  const rows = Array.from({ length: 14 }, (_, i) =>
    Array.from({ length: 4 }, (_, k) => Math.sin(7 * i + 3 * k) + k * 0.3),
  )
  const group = rows.map((_, i) => (i < 7 ? 0 : 1))
  const table = Object.fromEntries(mixedAnova(design(rows, group, 2, 2)).map((row) => [row.effect, row]))
  const of = (f: (row: readonly number[]) => number): number[] => rows.map(f)
  const between = (values: readonly number[]): number => welchT(values.slice(0, 7), values.slice(7)).t ** 2
  const arm = of(([a, b, c, d]) => a + b - c - d)
  const both = of(([a, b, c, d]) => a - b - c + d)
  near(t, table.stratum.f, between(of((row) => mean(row))), 1e-9)
  near(t, table['arm × stratum'].f, between(arm), 1e-9)
  near(t, table['arm × state × stratum'].f, between(both), 1e-9)
  // Within groups: the mean over the two groups over its error.
  const pooled = (variance(arm.slice(0, 7)) + variance(arm.slice(7))) / 2
  near(t, table.arm.f, (14 * mean(arm) ** 2) / pooled, 1e-9)
  for (const row of Object.values(table)) t.equal(row.epsilon, 1)
  near(t, table.arm.p, fUpper(table.arm.f, 1, 12), 1e-12)
})

t.test(
  'the analysis of variance does not depend on unit or order of subjects, and finds no effect in a constant',
  async () => {
    const cell = fc.integer({ min: -9, max: 9 })
    const table = fc.array(fc.array(cell, { minLength: 6, maxLength: 6 }), { minLength: 9, maxLength: 12 })
    fc.assert(
      fc.property(table, (rows) => {
        const group = rows.map((_, i) => i % 3)
        const own = rows.map((row, i) => row.map((x, k) => x + gauss(6 * i + k)))
        const shifted = own.map((row) => row.map((x) => 5 + 2 * x))
        const [one, two] = [own, shifted].map((each) => mixedAnova(design(each, group, 3, 2)))
        return one.every(({ f, epsilon, etaSquared, p }, i) => {
          const same = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b))
          const shares = [epsilon, etaSquared, p]
          return same(two[i].f, f) && same(two[i].epsilon, epsilon) && shares.every((x) => x >= 0 && x <= 1)
        })
      }),
      { ...seeded, numRuns: 50 },
    )
  },
)

t.test('BCa covers the mean of a skewed distribution, is seeded, and agrees with t on a symmetric one', async (t) => {
  const lognormal = (n: number, offset: number): number[] =>
    Array.from({ length: n }, (_, i) => Math.exp(gauss(offset + i)))
  let covered = 0
  for (let run = 0; run < 100; run++) {
    const columns = [lognormal(80, run * 1000)]
    const { low, high } = bca({ columns, resamples: 400, seed: run }, ([m]) => m)
    if (low <= Math.exp(0.5) && Math.exp(0.5) <= high) covered++
  }
  t.ok(covered >= 84, `${covered} of 100`)
  const columns = [Array.from({ length: 400 }, (_, i) => gauss(i))]
  const [one, two] = [1, 1].map((seed) => bca({ columns, resamples: 2000, seed }, ([m]) => m))
  t.same(one, two)
  const test = pairedT(columns[0])
  near(t, one.high - one.low, test.difference.high - test.difference.low, 0.08)
  t.equal(resampledMeans({ columns, resamples: 3, seed: 1 }).length, 3)
})

/** A standard normal number for each index (Box and Muller on hashed uniforms). */
function gauss(index: number): number {
  const uniform = (x: number): number => {
    let h = Math.imul(x + 1, 0x9e3779b1)
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return (((h ^ (h >>> 16)) >>> 0) + 0.5) / 2 ** 32
  }
  return Math.sqrt(-2 * Math.log(uniform(2 * index))) * Math.cos(2 * Math.PI * uniform(2 * index + 1))
}

t.test('regression on R’s cars, and a power law that is one', async (t) => {
  const weights = [2.62, 2.875, 2.32, 3.215, 3.44, 3.46, 3.57, 3.19, 3.15, 3.44, 3.44, 4.07, 3.73, 3.78, 5.25, 5.424]
  weights.push(5.345, 2.2, 1.615, 1.835, 2.465, 3.52, 3.435, 3.84, 3.845, 1.935, 2.14, 1.513, 3.17, 2.77, 3.57, 2.78)
  const miles = [21, 21, 22.8, 21.4, 18.7, 18.1, 14.3, 24.4, 22.8, 19.2, 17.8, 16.4, 17.3, 15.2, 10.4, 10.4, 14.7]
  miles.push(32.4, 30.4, 33.9, 21.5, 15.5, 15.2, 13.3, 19.2, 27.3, 26, 30.4, 15.8, 19.7, 15, 21.4)
  const line = regress(weights.map((x, i) => [x, miles[i]]))
  near(t, line.slope.value, -5.3445, 1e-5)
  near(t, line.intercept.value, 37.2851, 1e-5)
  near(t, line.r2, 0.7528, 1e-4)
  near(t, line.slope.low, -6.486308, 1e-6)
  near(t, line.slope.high, -4.202635, 1e-6)
  near(t, line.p, 1.294e-10, 1e-3)
  const law = powerLaw([1, 2, 3, 5, 8].map((x) => [x, 3 * x ** 0.7]))
  near(t, law.exponent.value, 0.7, 1e-9)
  near(t, law.factor.value, 3, 1e-9)
  t.throws(() => regress([[1, 2]]), RangeError)
})

const point = fc.record({
  energy: fc.double({ min: 0.01, max: 2, noNaN: true }),
  error: fc.double({ min: 0.01, max: 1, noNaN: true }),
})

t.test('hypervolume of known shapes; more points never make it smaller', async (t) => {
  const corner = { energy: 1, error: 1 }
  near(t, hypervolume([{ energy: 0.5, error: 0.5 }], corner), 0.25, 1e-12)
  near(
    t,
    hypervolume(
      [
        { energy: 0.25, error: 0.5 },
        { energy: 0.5, error: 0.25 },
      ],
      corner,
    ),
    0.5,
    1e-12,
  )
  t.equal(hypervolume([{ energy: 2, error: 0.1 }], corner), 0)
  t.equal(hypervolume([{ energy: 0, error: 0 }], corner), 1)
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 12 }), point, (points, more) => {
      const front = nonDominated(points).map((i) => points[i])
      const volume = hypervolume(points, corner)
      return (
        volume <= hypervolume([...points, more], corner) + 1e-12 &&
        Math.abs(hypervolume(front, corner) - volume) < 1e-12 &&
        points.every((p) => front.some((q) => q.energy <= p.energy && q.error <= p.error)) &&
        epsilonIndicator(front, points) <= 1
      )
    }),
    seeded,
  )
  const front = [
    { energy: 1, error: 0.1 },
    { energy: 0.5, error: 0.2 },
  ]
  near(t, energyAt(front, 0.15) ?? 0, 0.75, 1e-12)
  t.equal(energyAt(front, 0.05), null)
  t.equal(energyAt(front, 0.5), 0.5)
})

t.test('Holm’s corrected p values', async (t) => {
  // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
  for (const [i, p] of holm([0.01, 0.04, 0.03, 0.005]).entries()) near(t, p, [0.03, 0.06, 0.06, 0.02][i], 1e-12)
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 }), (ps) =>
      holm(ps).every((adjusted, i) => adjusted >= ps[i] && adjusted <= Math.min(1, ps.length * Math.max(...ps))),
    ),
    seeded,
  )
})
