/**
 * What an evaluation run hands to its statistics. Prompts are paired: index i is the same prompt in every arm and power
 * state. Joules are simulated unless the manifest says measured; energy comes as columns, because an object per prompt,
 * arm and power state would be a million of them.
 */

/** What one arm answered to one prompt; levels[i] is the level that decided token i (the first comes from the full prefill). */
export interface Answer {
  readonly arm: string
  readonly prompt: number
  readonly stratum: string
  readonly kind: string
  readonly correct: boolean
  readonly promptTokens: number
  readonly levels: readonly number[]
  readonly text: string
  /** Whether the question was worded in a way training never saw; absent where nobody knows. */
  readonly heldOutWording?: boolean
}

/** The energy of one arm in one power state, a value for each prompt. */
export interface TrialColumns {
  readonly decodeJoules: Float64Array
  /** Decoding and the full-level prefill. */
  readonly requestJoules: Float64Array
  readonly decodeSeconds: Float64Array
  readonly requestSeconds: Float64Array
  /** Mean bytes of weights read per token that came out. */
  readonly weightBytes: Float64Array
  /** Decoding the same work at the board's best clock, whatever the power state: what an ideal governor would need. */
  readonly idealJoules?: Float64Array
}

export interface ArmInfo {
  readonly arm: string
  readonly title: string
  /** `level`: every token at one level of the package; `routed`: levels chosen per token; `joint`: levels, clocks and drafts. */
  readonly kind: 'reference' | 'baseline' | 'level' | 'routed' | 'joint'
  /** Arms of one family are points of one frontier: `deap`, `magnitude`, `flap`, `random`, `dense`. */
  readonly family: string
  /** Share of the full level's weight bytes read per token; null where it is chosen per token. */
  readonly share: number | null
}

export interface ArmRun extends ArmInfo {
  /** One answer for each prompt, in their order. */
  readonly answers: readonly Answer[]
  /** By the name of the power state. */
  readonly trials: Readonly<Record<string, TrialColumns>>
}

/** Energy of one arm with several answers decoded together. */
export interface BatchPoint {
  readonly arm: string
  readonly batch: number
  /** Of a whole batched step, so that joules = a·batch^b. */
  readonly stepJoules: number
}

/** Time of each token of one arm while the board gets hot, in the order they came. */
export interface ThrottleTrace {
  readonly arm: string
  readonly atSeconds: Float64Array
  readonly secondsPerToken: Float64Array
}

/** Savings against the reference with the energy priors drawn jointly: one value (1 − ratio of total joules) per draw. */
export interface PriorDraws {
  readonly arm: string
  readonly powerState: string
  readonly decodeSaving: Float64Array
  readonly requestSaving: Float64Array
}

/** The state of a package's certificate when it was evaluated. */
export interface CertificateState {
  readonly state: 'valid' | 'void' | 'none'
  readonly marginPoints: number | null
  readonly confidence: number | null
  readonly n: number | null
  readonly date: string | null
}

/** Two arms to hold against each other beside the reference: routed against random routing, nested against post-hoc. */
export interface Contest {
  readonly arm: string
  readonly against: string
  readonly question: string
}

export interface EvaluationData {
  /** One of them is the arm all others are held against: int4, dense. */
  readonly arms: readonly ArmRun[]
  readonly reference: string
  /** The arm of the primary claim: routed `balanced`. */
  readonly primary: string
  /** Lowest budget first. */
  readonly powerStates: readonly string[]
  /** The power state of the headline figures. */
  readonly mainPowerState: string
  readonly batches: readonly BatchPoint[]
  readonly throttling: readonly ThrottleTrace[]
  readonly priorDraws: readonly PriorDraws[]
  readonly contests: readonly Contest[]
  readonly certificate: CertificateState
}

/** What was run, where and with which seeds. Whatever else a run wants to keep goes into `details`, and all of it is printed. */
export interface RunManifest {
  readonly model: string
  readonly digest: string
  readonly date: string
  readonly version: string
  readonly commit: string | null
  readonly seed: number
  readonly prompts: number
  readonly board: string
  /** The network whose energy the joules are: `llama-2-7b` on a simulated board, whatever small model gave the answers. */
  readonly energyOf: string
  readonly joules: 'simulated' | 'measured'
  /** `toy`: a synthetic benchmark and a small model, which say nothing about a 7B's accuracy. */
  readonly accuracy: 'toy' | 'task'
  readonly grid: { readonly name: string; readonly gramsPerKwh: number; readonly year: number; readonly source: string }
  readonly details: Readonly<Record<string, unknown>>
}

/** The arm of levels, clocks and drafts together. */
export const togetherArm = 'joint'
