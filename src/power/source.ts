import type { Reading } from '../board/reading.ts'

/** A sensor of board power. `read` never throws for a missing value: it is absent, with a reason. */
export interface PowerSource {
  readonly name: string
  read(atMs: number): Promise<Reading>
  close(): Promise<void>
}
