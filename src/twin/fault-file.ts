import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { type Fault, type FaultKind, faultAt, faultKinds } from './faults.ts'

/** Faults to inject into a running twin, as `deapd twin fault` writes them: the file is beside the tree's own folders. */
export const faultFile = 'faults.json'

/** The amount of a `loss` in which tegrastats hangs; see `faultKinds`. */
const hangs = 2

/** Times are monotonic milliseconds, which every process of this machine shares. */
const FaultList = Type.Array(
  Type.Object({
    kind: Type.Enum(Object.keys(faultKinds)),
    fromMs: Type.Number(),
    untilMs: Type.Number(),
    amount: Type.Number(),
  }),
)

/** Injects faults into the twin under this root; an empty list ends all. The file is whole whenever it is read. */
export function injectFaults(root: string, faults: readonly Fault[]): void {
  const path = join(root, faultFile)
  writeFileSync(`${path}.new`, `${JSON.stringify(faults)}\n`)
  renameSync(`${path}.new`, path)
}

export interface FaultWatch {
  /** The faults of the file when it has changed since the last call, else null. */
  changed(): readonly Fault[] | null
  inForce(kind: FaultKind, atMs: number): Fault | undefined
}

/** Looks for the fault file under the root at every call: one `stat` while nothing changes. A file of an earlier run is removed. */
export function watchFaults(root: string): FaultWatch {
  const path = join(root, faultFile)
  rmSync(path, { force: true })
  let seen = 0
  let faults: readonly Fault[] = []
  return {
    changed() {
      const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
      if (modified === seen) return null
      seen = modified
      faults = modified === 0 ? [] : readFaults(path)
      return faults
    },
    inForce: (kind, atMs) => faultAt(faults, kind, atMs),
  }
}

/** The faults of a file; none when it is half written, for the next look will find it whole. */
function readFaults(path: string): readonly Fault[] {
  try {
    const rows: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return Value.Check(FaultList, rows) ? (rows as Fault[]) : []
  } catch {
    return []
  }
}

/** What a tegrastats process on this tree would do of a `loss` that is in force: die, or live on without a line. */
export function lossInForce(root: string, atMs: number): 'died' | 'hangs' | null {
  const path = join(root, faultFile)
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null
  const loss = faultAt(readFaults(path), 'loss', atMs)
  if (loss === undefined) return null
  return loss.amount === hangs ? 'hangs' : 'died'
}
