import type { Connections } from './connections.ts'
import type { ApiDeps } from './ports.ts'

/** What every route gets: the daemon's ports, the open connections and the three waiting times of a stream. */
export interface Scope {
  readonly deps: ApiDeps
  readonly connections: Connections
  readonly timing: Timing
}

export interface Timing {
  /** A quiet stream gets a comment this often. */
  readonly pingMs: number
  /** How long a stream waits for the engine's first word before its headers go out. */
  readonly patienceMs: number
  /** How long `close` waits for answers under way. */
  readonly drainMs: number
}

export const defaultTiming: Timing = { pingMs: 15_000, patienceMs: 10_000, drainMs: 3000 }
