import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { importModel } from '../../models/import.ts'
import { openPackage } from '../../models/package.ts'
import { baselineArms, type Contestant, deapArms, fp32Arms, fp32Cost, int4Cost } from './arms.ts'

export interface PackageOptions {
  /** The package under test. */
  readonly model: string
  /** The checkpoint it was made from: what the baselines are made of. Without it there are none. */
  readonly source?: string
  /** Folder in which baselines are kept. */
  readonly work: string
  readonly onProgress: (what: string) => void
}

/** The packages that are compared: the one under test, and baselines made from its source, at its levels' shares. */
export async function contestants({ model, source, work, onProgress }: PackageOptions): Promise<Contestant[]> {
  const { dir, manifest } = openPackage(model)
  const shares = manifest.levels.map(({ share }) => share)
  const deap: Contestant = { name: 'deap', dir, arms: deapArms(shares), cost: int4Cost(shares) }
  if (source === undefined) return [deap]
  const fp32 = join(work, 'packages', 'fp32')
  if (!existsSync(fp32)) {
    onProgress('fp32')
    await importModel({ source, out: fp32, quantisation: 'none', levels: 1 })
  }
  const magnitude = join(work, 'packages', 'magnitude')
  if (!existsSync(magnitude)) {
    onProgress('magnitude')
    const { weights, block } = manifest.quantisation
    await importModel({
      source,
      out: magnitude,
      quantisation: weights,
      block: block > 0 ? block : undefined,
      levels: shares.length,
    })
  }
  const magnitudeShares = openPackage(magnitude).manifest.levels.map(({ share }) => share)
  return [
    deap,
    { name: 'fp32', dir: fp32, arms: fp32Arms(), cost: fp32Cost() },
    {
      name: 'magnitude',
      dir: magnitude,
      arms: baselineArms('magnitude', magnitudeShares),
      cost: int4Cost(magnitudeShares),
    },
  ]
}
