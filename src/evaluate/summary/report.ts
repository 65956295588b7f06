import type { Conversion } from '../metrics.ts'
import type { ArmInfo, CertificateState, RunManifest } from '../records.ts'
import type { Label } from '../report/label.ts'
import type { AnovaRow } from '../statistics/anova.ts'
import type { Estimate } from '../statistics/moments.ts'
import type { Equivalence, MarginTest } from '../statistics/proportions.ts'
import type { PowerLaw, Regression } from '../statistics/regression.ts'
import type { WelchTest } from '../statistics/t-test.ts'
import type { Wilcoxon } from '../statistics/wilcoxon.ts'

/** Everything a reader of the run gets to see, in the order of the page; report.json is this. */
export interface Report {
  readonly schema: 'deapd-evaluation/2'
  readonly manifest: RunManifest
  readonly reference: string
  readonly primary: string
  readonly mainPowerState: string
  readonly powerStates: readonly string[]
  readonly strata: readonly string[]
  readonly verdict: Verdict
  readonly arms: readonly ArmRow[]
  readonly comparisons: readonly Comparison[]
  readonly states: readonly StateRow[]
  readonly byStratum: readonly StratumRow[]
  readonly levels: LevelUse
  readonly frontiers: Frontiers
  readonly lastPoints: LastPoints | null
  readonly variance: Variance | null
  readonly scaling: Scaling | null
  readonly batches: readonly BatchRow[]
  readonly throttling: readonly ThrottleRow[]
  readonly priors: readonly PriorRow[]
  readonly certificate: CertificateState
  readonly label: Label
}

/** One sentence that can be true or false, with the figure that decides. */
export interface Claim {
  readonly id: string
  readonly what: string
  readonly bar: string
  readonly figure: string
  /** null: this run has no data for it. */
  readonly holds: boolean | null
}

export interface Verdict {
  /** Energy and accuracy, both: an intersection-union test, which needs no correction for there being two. */
  readonly holds: boolean
  readonly energy: Claim
  readonly accuracy: Claim
  /** What stood in the way, or what carried it, in words. */
  readonly because: string
  readonly others: readonly Claim[]
}

/** An arm in the main power state. */
export interface ArmRow extends ArmInfo {
  readonly prompts: number
  /** Percent, with Wilson's interval. */
  readonly accuracyPercent: Estimate
  readonly tokensPerAnswer: number
  readonly bytesPerToken: number
  readonly decodeJoules: number
  readonly requestJoules: number
  readonly joulesPerToken: number
  readonly tokensPerSecond: number
  readonly gramsPerThousand: number
  readonly joulesPerCorrect: Estimate | null
  readonly efficiencyRatio: number
  readonly conversion: Conversion | null
}

/** An arm against another on the same prompts, in the main power state. */
export interface Comparison {
  readonly arm: string
  readonly against: string
  readonly question: string | null
  /** 1 − total joules over total joules, BCa interval over prompts. */
  readonly decodeSaving: Estimate
  readonly requestSaving: Estimate
  /** Of ln J: geometric mean of the ratio, t, p, effect size. */
  readonly logDecode: PairedTest
  readonly logRequest: PairedTest
  /** Of joules, as the paper has it: mean difference in joules. */
  readonly rawDecode: PairedTest
  readonly wilcoxon: Wilcoxon
  /** In percentage points, Tango's interval. */
  readonly accuracyPoints: Estimate
  readonly discordant: { readonly gained: number; readonly lost: number }
  readonly mcnemarP: number
  readonly margins: readonly MarginTest[]
  readonly equivalence: Equivalence
  /** Corrected by Holm over all comparisons of the report. */
  readonly holm: { readonly energyP: number; readonly accuracyP: number }
}

export interface PairedTest {
  readonly estimate: Estimate
  readonly t: number
  readonly df: number
  readonly p: number
  readonly dz: number
  readonly leftOut: number
}

export interface StateRow {
  readonly arm: string
  readonly powerState: string
  readonly joulesPerToken: number
  readonly decodeJoules: number
  readonly requestJoules: number
  /** 1 − geometric mean of the ratio to the reference in the same power state. */
  readonly decodeSaving: Estimate
}

export interface StratumRow {
  readonly arm: string
  readonly stratum: string
  readonly prompts: number
  readonly accuracyPercent: Estimate
  readonly decodeJoules: Estimate
  readonly decodeSaving: number
  /** Over decoded tokens: the first comes from the prompt's run. */
  readonly meanLevel: number
}

export interface LevelUse {
  /** Of the primary arm: the mean level that decided token `token` (0 is the first), over answers that have one. */
  readonly overTime: readonly {
    readonly stratum: string
    readonly token: number
    readonly level: number
    readonly n: number
  }[]
  readonly byStratum: readonly {
    readonly stratum: string
    readonly level: Estimate
    readonly shares: readonly number[]
  }[]
  /** Each stratum against the one before it. */
  readonly steps: readonly {
    readonly from: string
    readonly to: string
    readonly test: WelchTest
    readonly holmP: number
  }[]
}

export interface Frontiers {
  /** Corner of the rectangle in which volumes are measured. */
  readonly corner: { readonly decodeJoules: number; readonly errorPercent: number }
  readonly families: readonly {
    readonly family: string
    readonly points: readonly {
      readonly arm: string
      readonly decodeJoules: number
      readonly errorPercent: number
      readonly best: boolean
    }[]
    readonly hypervolume: Estimate
  }[]
  readonly contests: readonly {
    readonly family: string
    readonly against: string
    /** Hypervolume over hypervolume, and minus it. */
    readonly ratio: Estimate
    readonly difference: Estimate
    readonly epsilon: number
  }[]
}

export interface LastPoints {
  readonly points: number
  /** Share of the energy of the most accurate point that buys the last points of accuracy. */
  readonly share: Estimate
}

export interface Variance {
  readonly design: string
  readonly prompts: number
  readonly leftOut: number
  readonly rows: readonly AnovaRow[]
  /** For right and wrong, which are not for an analysis of variance: are all arms right equally often? */
  readonly cochran: { readonly q: number; readonly df: number; readonly p: number }
}

export interface Scaling {
  readonly points: readonly {
    readonly arm: string
    readonly sparsity: number
    readonly tokensPerSecond: number
    readonly bytesPerToken: number
    readonly secondsPerToken: number
  }[]
  /** tokens/s over the share of bytes not read. */
  readonly throughput: Regression
  /** seconds per token over bytes per token. */
  readonly time: Regression
  /** Share of the time that goes with the bytes at the full level: 1 is all of it. */
  readonly elasticity: number
}

export interface BatchRow {
  readonly arm: string
  readonly points: readonly { readonly batch: number; readonly stepJoules: number }[]
  readonly law: PowerLaw
}

export interface ThrottleRow {
  readonly arm: string
  readonly p50Seconds: number
  readonly p99Seconds: number
  readonly ratio: number
  /** Medians of equal stretches of time. */
  readonly curve: readonly { readonly atSeconds: number; readonly secondsPerToken: number }[]
}

export interface PriorRow {
  readonly arm: string
  readonly powerState: string
  readonly draws: number
  /** Median and the middle 95 % of draws. */
  readonly decodeSaving: Estimate
  readonly requestSaving: Estimate
  /** Share of draws whose decode saving reaches the claim. */
  readonly reaches: number
}
