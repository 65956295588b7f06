import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Board } from '../../board/types.ts'
import { pruneCheckpoint } from '../../compress/prune.ts'
import { importModel } from '../../models/import.ts'
import type { Manifest } from '../../models/manifest.ts'
import { openPackage } from '../../models/package.ts'
import { makePrompts } from '../support/dialogue.ts'
import { seededRandom } from '../support/random.ts'
import { baselineArms, baselines, type Contestant, deapArms, fp32Arms, fp32Cost, int4Cost, versusArms } from './arms.ts'

export interface PackageOptions {
  /** The package under test. */
  readonly model: string
  /** The checkpoint it was made from: what the baselines are made of. Without it there are none. */
  readonly source?: string
  /** Another package, whose levels are held against this one's. */
  readonly versus?: string
  /** Conversations or text on which FLAP-style pruning measures; by default questions of the benchmark's calibration split. */
  readonly calibration?: string
  /** Folder in which baselines are kept. */
  readonly work: string
  readonly board: Board
  readonly seed: number
  readonly onProgress: (done: number, total: number, what: string) => void
}

/** The packages that are compared: the one under test, and baselines made from its source, at its levels' shares. */
export async function contestants(options: PackageOptions): Promise<Contestant[]> {
  const { dir, manifest } = openPackage(options.model)
  const shares = manifest.levels.map(({ share }) => share)
  const deap: Contestant = {
    name: 'deap',
    dir,
    arms: deapArms(shares, manifest.routing !== undefined),
    cost: int4Cost(shares),
  }
  const others = options.versus === undefined ? [] : [versus(options.versus)]
  if (options.source === undefined) return [deap, ...others]
  const source = resolve(options.source)
  const key = keyOf(source, manifest, options)
  const folder = join(options.work, 'packages', key)
  const fp32 = join(folder, 'fp32')
  if (!existsSync(fp32)) await importModel({ source, out: fp32, quantisation: 'none', levels: 1 })
  const rivals: Contestant[] = []
  for (const name of shares.length > 1 ? baselines : []) {
    const out = join(folder, name)
    if (!existsSync(out)) await pruneBaseline(source, out, name, shares, manifest, options)
    // A wanted share is met to within one chunk, so the baseline says itself what it reads.
    const own = openPackage(out).manifest.levels.map(({ share }) => share)
    rivals.push({ name, dir: out, arms: baselineArms(name, own), cost: int4Cost(own) })
  }
  return [deap, { name: 'fp32', dir: fp32, arms: fp32Arms(), cost: fp32Cost() }, ...rivals, ...others]
}

function versus(model: string): Contestant {
  const { id, dir, manifest } = openPackage(model)
  const shares = manifest.levels.map(({ share }) => share)
  return { name: 'versus', dir, arms: versusArms(id, shares), cost: int4Cost(shares) }
}

async function pruneBaseline(
  source: string,
  out: string,
  method: (typeof baselines)[number],
  shares: readonly number[],
  { quantisation: { weights: quantisation, block } }: Manifest,
  { calibration, work, board, seed, onProgress }: PackageOptions,
): Promise<void> {
  await pruneCheckpoint(source, out, {
    method,
    shares,
    levels: shares.length,
    quantisation,
    ...(block > 0 && { block }),
    calibration: calibration ?? supportCalibration(work, seed),
    energy: { board },
    seed,
    onStep: (done, total, what) => onProgress(done, total, `${what} (${method})`),
  })
}

/** Questions with their answers from the calibration split, which shares no entity with training or test. */
function supportCalibration(work: string, seed: number): string {
  const path = join(work, `calibration-${seed}.jsonl`)
  if (existsSync(path)) return path
  mkdirSync(work, { recursive: true })
  const lines = makePrompts(seededRandom(seed), 'calibration', 512).map(({ system, question, answer }) =>
    JSON.stringify({
      system,
      messages: [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ],
    }),
  )
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}

/** Baselines are made again when anything they follow from is another. */
function keyOf(
  source: string,
  { levels, quantisation }: Manifest,
  { calibration, seed, board }: PackageOptions,
): string {
  const shares = levels.map(({ share }) => share)
  const text = calibration === undefined ? null : readFileSync(calibration, 'utf8')
  const parts = { source, shares, quantisation, text, seed, board: board.id }
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12)
}
