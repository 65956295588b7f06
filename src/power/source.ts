import type { MemoryState, PowerReading, Reading } from '../board/reading.ts'

/**
 * The board's sensors as the daemon sees them. `read` never throws for a missing value: it is absent, with a reason, and
 * comes back when the sensor does.
 */
export interface PowerSource {
  /** The instrument in use. */
  readonly name: string
  /** Milliseconds after which a reading of this source is too old to steer by. */
  readonly staleAfterMs: number
  read(atMs: number): Promise<Reading>
  close(): Promise<void>
}

/** One way to learn power: hwmon files, a tegrastats child, a meter. Owes what a PowerSource owes. */
export interface Instrument {
  readonly name: string
  readonly staleAfterMs: number
  read(atMs: number): Promise<InstrumentReading>
  /** Leaves no process, timer or open file behind; may be called twice. */
  close(): Promise<void>
}

/** Power, and what else came with it in the same line. */
export type InstrumentReading = PowerReading & {
  /** Null for a zone that is powered down. */
  readonly zoneCelsius?: Readonly<Record<string, number | null>>
  readonly memory?: MemoryState
}
