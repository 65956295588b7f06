import { closeSync, fsyncSync, ftruncateSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Part, WeightPlan } from '../onnx/weights.ts'
import type { Job } from './jobs.ts'
import { type Journal, openJournal } from './journal.ts'
import type { Pool } from './pool.ts'
import { type OnProgress, tally } from './progress.ts'
import { checkRoom, dataFile, journalFile, type Workspace } from './workspace.ts'

/** Fills the workspace's weight file with every planned part that an interrupted run has not already put there. */
export async function writeWeights(
  { parts, totalBytes }: WeightPlan,
  { folder, out }: Workspace,
  key: string,
  pool: Pool,
  onProgress: OnProgress,
): Promise<void> {
  const fd = openSync(join(folder, dataFile), 'r+')
  const journal = openJournal(join(folder, journalFile), key)
  try {
    // What another import left would stay in the gaps between tensors.
    if (journal.isNew) ftruncateSync(fd, 0)
    const finished = await stillGood(parts, journal, pool, onProgress)
    // The largest first, so that no thread is left alone with one at the end.
    const left = parts.filter((part) => !finished.has(part.name)).sort((a, b) => b.bytes - a.bytes)
    const neededBytes = left.reduce((sum, { bytes }) => sum + bytes, 0)
    checkRoom(folder, out, neededBytes)
    ftruncateSync(fd, totalBytes())
    const count = tally('write', left.map(weightsOf), onProgress)
    await pool.run<'write'>(jobs('write', left), (index, sha256) => {
      journal.add(left[index].name, sha256)
      count(index)
    })
    fsyncSync(fd)
  } finally {
    journal.close()
    closeSync(fd)
  }
}

/** Names of the parts that the journal calls finished and the file still holds as they were written. */
async function stillGood(
  parts: readonly Part[],
  { finished }: Journal,
  pool: Pool,
  onProgress: OnProgress,
): Promise<ReadonlySet<string>> {
  const claimed = parts.filter((part) => finished.has(part.name))
  const hashes = await pool.run<'check'>(jobs('check', claimed), tally('check', claimed.map(weightsOf), onProgress))
  return new Set(claimed.filter(({ name }, i) => hashes[i] === finished.get(name)).map(({ name }) => name))
}

const jobs = <K extends 'write' | 'check'>(kind: K, parts: readonly Part[]) =>
  parts.map((part) => ({ kind, part })) as unknown as Extract<Job, { kind: K }>[]

const weightsOf = (part: Part): number => (part.kind === 'data' ? 0 : part.matrix.rows * part.matrix.columns)
