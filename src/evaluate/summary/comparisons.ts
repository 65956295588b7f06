import { holm } from '../statistics/holm.ts'
import { mapEstimate, mean } from '../statistics/moments.ts'
import { discordance, equivalence, mcnemar, nonInferiority, tangoInterval } from '../statistics/proportions.ts'
import { differences, pairedLogT, pairedT, type RatioTest, type TTest } from '../statistics/t-test.ts'
import { wilcoxon } from '../statistics/wilcoxon.ts'
import { claimedMargin } from './arms.ts'
import type { Draws } from './draws.ts'
import type { Comparison, PairedTest } from './report.ts'
import type { Tables } from './table.ts'

/** The margins under which the paper's three statements stand: 1.0 (methods), 1.5 (abstract), 2.0 (the test itself). */
const margins = [1, 1.5, 2]

type Pair = { readonly arm: string; readonly against: string; readonly question: string | null }

/** Every arm against the reference, then the contests that the run asked for. */
export function compare(tables: Tables, draws: Draws): Comparison[] {
  const { data, reference, arms } = tables
  const pairs: Pair[] = arms
    .filter((table) => table !== reference)
    .map(({ run }) => ({ arm: run.arm, against: reference.run.arm, question: null }))
  const rows = [...pairs, ...data.contests].map((pair) => comparePair(pair, tables, draws))
  const energy = holm(rows.map(({ logDecode }) => defined(logDecode.p)))
  const accuracy = holm(rows.map(({ mcnemarP }) => mcnemarP))
  return rows.map((row, i) => ({ ...row, holm: { energyP: energy[i], accuracyP: accuracy[i] } }))
}

/** A test between equal columns has no p: nothing was found. */
const defined = (p: number): number => (Number.isNaN(p) ? 1 : p)

function comparePair({ arm, against, question }: Pair, tables: Tables, draws: Draws): Omit<Comparison, 'holm'> {
  const [own, other] = [tables.find(arm), tables.find(against)]
  const saving = (what: 'decodeJoules' | 'requestJoules') =>
    draws.of(
      [
        { arm, what },
        { arm: against, what },
      ],
      ([a, b]) => 1 - a / b,
    )
  const pair = discordance(own.correct, other.correct)
  // Whoever is never right has nothing to lose: a test that cannot fail is not passed.
  const canLose = (margin: number): boolean => 100 * mean(Float64Array.from(other.correct)) > margin
  const equal = equivalence(pair, claimedMargin)
  const raw = differences(other.main.decodeJoules, own.main.decodeJoules)
  return {
    arm,
    against,
    question,
    decodeSaving: saving('decodeJoules'),
    requestSaving: saving('requestJoules'),
    logDecode: ofRatio(pairedLogT(other.main.decodeJoules, own.main.decodeJoules)),
    logRequest: ofRatio(pairedLogT(other.main.requestJoules, own.main.requestJoules)),
    rawDecode: { ...ofTest(pairedT(raw)), leftOut: 0 },
    wilcoxon: wilcoxon(raw),
    accuracyPoints: mapEstimate(tangoInterval(pair), (share) => 100 * share),
    discordant: { gained: pair.onlyFirst, lost: pair.onlySecond },
    mcnemarP: mcnemar(pair),
    margins: margins.map((margin) => {
      const test = nonInferiority(pair, margin)
      return { ...test, passes: test.passes && canLose(margin) }
    }),
    equivalence: { ...equal, equivalent: equal.equivalent && canLose(claimedMargin) },
  }
}

const ofTest = ({ difference, t, df, p, dz }: TTest): Omit<PairedTest, 'leftOut'> => ({
  estimate: difference,
  t,
  df,
  p,
  dz,
})

const ofRatio = (test: RatioTest): PairedTest => ({
  ...ofTest(test),
  estimate: test.ratio,
  leftOut: test.leftOut,
})
