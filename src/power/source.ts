import type { Reading } from '../board/reading.ts'

/** A sensor of board power. `read` never throws for a missing value: it is absent, with a reason. */
export interface PowerSource {
  readonly name: string
  /** Milliseconds after which a reading of this source is too old to steer by. */
  readonly staleAfterMs: number
  read(atMs: number): Promise<Reading>
  close(): Promise<void>
}
