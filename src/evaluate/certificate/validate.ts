import { seededRandom } from '../support/random.ts'
import type { Certified, CertifyInputs } from './certify.ts'
import { isLoss } from './fit.ts'
import { type Prepared, routedLane } from './lanes.ts'
import { fixedSequence } from './learn-then-test.ts'

export interface Validity {
  readonly recalibrations: number
  /** Prompts with recorded losses, and how many of them each recalibration draws. */
  readonly pool: number
  readonly n: number
  /** Recalibrations that chose a point whose risk over the whole pool is above the margin: at most 17 of 200 are expected in 99 of 100 cases. */
  readonly above: number
  /** The same against the prompts that were not drawn: noisier, and biased against the certificate where they are few. */
  readonly aboveElsewhere: number
  /** How often each point was chosen, and its risk over the pool. */
  readonly chosen: readonly number[]
  readonly risks: readonly number[]
  readonly lines: readonly string[]
}

const recalibrations = 200

/**
 * Is the certificate what it says? Draws many calibration halves from a pool of recorded losses (none of them was seen by the
 * fit), certifies on each, and counts how often the chosen point's true risk, that of the pool, is above the margin.
 */
export function validate(
  inputs: CertifyInputs,
  certified: Pick<Certified, 'grid' | 'requests' | 'token' | 'hold' | 'measured'>,
  rest: readonly Prepared[],
  seed: number,
): Validity {
  const { run, shares, loss, margin, confidence, calibration } = inputs
  const { grid, measured } = certified
  const lanes = grid.map((point) => routedLane(certified, point, shares, rest))
  const [full, ...others] =
    rest.length > 0 ? run('more prompts, for the validity', rest, lanes) : [[], ...lanes.slice(1).map(() => [])]
  const more = [full, ...others].map((of) =>
    Uint8Array.from(of, (answer, i) => (isLoss(loss, rest[i].answer, full[i], answer) ? 1 : 0)),
  )
  const lost = measured.lost.map((own, point) => Uint8Array.from([...own, ...more[point]]))
  return simulate(lost, { margin, confidence, n: Math.min(calibration.length, Math.floor(lost[0].length / 2)), seed })
}

/** The simulation itself: `lost[point][prompt]` is 1 where that point of the sequence lost that prompt. */
export function simulate(
  lost: readonly Uint8Array[],
  {
    margin,
    confidence,
    n,
    seed,
  }: { readonly margin: number; readonly confidence: number; readonly n: number; readonly seed: number },
): Validity {
  const pool = lost[0].length
  const random = seededRandom(seed)
  const totals = lost.map((of) => of.reduce((a, b) => a + b, 0))
  const chosen = lost.map(() => 0)
  let [above, aboveElsewhere] = [0, 0]
  const order = Uint32Array.from({ length: pool }, (_, i) => i)
  for (let round = 0; round < recalibrations; round++) {
    // The first n of a shuffle (Fisher–Yates) are the calibration half.
    for (let i = 0; i < n; i++) {
      const j = random.int(i, pool - 1)
      ;[order[i], order[j]] = [order[j], order[i]]
    }
    const drawn = order.subarray(0, n)
    const losses = lost.map((of) => drawn.reduce((sum, i) => sum + of[i], 0))
    const point = fixedSequence(losses, n, margin, confidence).chosen ?? 0
    chosen[point]++
    if (totals[point] / pool > margin) above++
    if ((totals[point] - losses[point]) / (pool - n) > margin) aboveElsewhere++
  }
  const risks = totals.map((total) => total / pool)
  const beyond = risks.filter((risk) => risk > margin).length
  const lines = [
    `validity: risk above ${(100 * margin).toFixed(1)} points in ${above} of ${recalibrations} recalibrations of ${n} prompts drawn from ${pool} (against the prompts not drawn: ${aboveElsewhere})`,
    `          ${beyond} of the ${lost.length} points of the sequence are above the margin${beyond === 0 ? ', so this says little: nothing wrong could have been chosen' : ''}`,
  ]
  return { recalibrations, pool, n, above, aboveElsewhere, chosen, risks, lines }
}
