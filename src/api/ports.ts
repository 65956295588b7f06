import type { RequestEnergy } from '../energy/request.ts'
import type { DoneEvent, GenerateRequest, TokenEvent } from '../engine/protocol.ts'
import type { Manifest } from '../models/manifest.ts'
import type { Snapshot } from '../telemetry/snapshot.ts'

/** What an answer yields, in order: started, tokens, done. A failure is thrown as a DeapdError. */
export type Answer =
  | { readonly type: 'started'; readonly promptTokens: number }
  | ({ readonly type: 'token' } & TokenEvent)
  | ({ readonly type: 'done'; readonly energy: RequestEnergy } & DoneEvent)

export interface InstalledModel {
  /** The package folder's name. */
  readonly id: string
  readonly manifest: Manifest
  readonly bytes: number
  /** sha256 of the manifest, hex. */
  readonly digest: string
  readonly modifiedAt: Date
}

export interface BudgetState {
  readonly watts: number
  /** Who set it. */
  readonly source: string
  /** UTC time at which it falls back to the configured budget; null without a lease. */
  readonly leaseUntil: Date | null
  readonly minWatts: number
  readonly maxWatts: number
  readonly configuredWatts: number
}

export interface BudgetControl {
  get(): BudgetState
  /** Takes effect at the next tick; throws `budget_invalid` or `lease_invalid` and then nothing changes. */
  set(watts: unknown, leaseSeconds: unknown, source: string): BudgetState
}

/** A point held by hand; `source` is "none" while nothing is held. */
export interface HoldState {
  readonly gpuHz: number | null
  readonly level: number | null
  readonly source: string
  /** UTC time at which it ends; null without a lease. */
  readonly leaseUntil: Date | null
  /** The GPU clocks in Hz and the number of levels it can be chosen from. */
  readonly pointsHz: readonly number[]
  readonly levels: number
}

export interface HoldControl {
  get(): HoldState
  /** Takes effect at the next tick; throws `hold_invalid` or `lease_invalid` and then nothing changes. */
  set(point: { readonly gpuMhz: unknown; readonly level: unknown }, leaseSeconds: unknown, source: string): HoldState
  release(): HoldState
}

/** A named energy window, as in Zeus: opened, closed, and the joules in between. */
export interface EnergyWindow {
  readonly name: string
  readonly startedAt: string
  readonly endedAt: string | null
  readonly joules: number
  /** Seconds of the window whose energy is unknown: it is not in the joules. */
  readonly unknownSeconds: number
  readonly method: 'simulated' | 'measured'
}

export interface EnergyWindows {
  open(name: string): EnergyWindow
  close(name: string): EnergyWindow | undefined
  list(): readonly EnergyWindow[]
}

/** The last minute of a run, as its black box kept it. */
export interface BlackBoxReport {
  readonly version: string
  readonly board: string
  readonly startedAt: string
  /** UTC time of the last record. */
  readonly endedAt: string
  /** False when the run did not end by itself (or still runs). */
  readonly clean: boolean
  /** Oldest first. */
  readonly rows: readonly {
    readonly ts: string
    readonly monoMs: number
    readonly totalWatts: number | null
    readonly railWatts: Readonly<Record<string, number | null>>
    readonly budgetWatts: number
    readonly tjCelsius: number | null
    readonly gpuHz: number | null
    readonly gpuCapHz: number
    readonly gpuCapAppliedHz: number | null
    readonly cpuHz: number | null
    readonly level: number
    readonly reason: string
    readonly requests: number
  }[]
}

/** Everything the HTTP side needs, passed in once; it knows nothing of processes, sensors or clocks. */
export interface ApiDeps {
  readonly version: string
  readonly model: InstalledModel
  readonly generate: (request: GenerateRequest, signal: AbortSignal) => AsyncIterable<Answer>
  readonly snapshot: () => Snapshot
  /** Calls back with every new snapshot; returns the unsubscribe function. */
  readonly onSnapshot: (listener: (snapshot: Snapshot) => void) => () => void
  readonly budget: BudgetControl
  readonly hold: HoldControl
  readonly windows: EnergyWindows
  /** The run and its windows in CodeCarbon's columns. */
  readonly energyCsv: () => string
  readonly blackBox: { previous(): BlackBoxReport | null; current(): BlackBoxReport | null }
  readonly settings: {
    readonly allowedHosts: readonly string[]
    readonly allowedOrigins: readonly string[]
    readonly bodyLimitBytes: number
  }
}
