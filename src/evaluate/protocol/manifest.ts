import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { powerModesOf } from '../../board/power-modes.ts'
import type { Board } from '../../board/types.ts'
import { openPackage } from '../../models/package.ts'
import { priorError } from '../energy/priors.ts'
import { hotBox } from '../energy/throttle.ts'
import type { Contestant } from './arms.ts'

/** The commit of a checkout; null where deapd is installed from a package. */
export function commitOf(): string | null {
  try {
    const cwd = fileURLToPath(new URL('../../..', import.meta.url))
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return null
  }
}

/** What was compared: the hash of every package's manifest, which itself holds the hashes of its files. */
export const packagesOf = (all: readonly Contestant[]) =>
  all.map(({ name, dir, arms }) => {
    const { digest, manifest } = openPackage(dir)
    const { levels, quantisation, dtype } = manifest
    return {
      name,
      digest,
      dtype,
      quantisation,
      shares: levels.map(({ share }) => share),
      arms: arms.map(({ arm }) => arm),
    }
  })

/** How the joules came about, so that nobody takes them for measured ones. */
export const energyConditions = (board: Board) => ({
  sensor: 'none: joules follow from the board model and the traces of the runs',
  ambientCelsius: board.model.leak.referenceCelsius,
  powerModes: powerModesOf(board),
  clocks: 'the caps of the power mode; with `clocks`, the point within them that takes the fewest joules',
  priors: board.model,
  priorError: `every measured or assumed coefficient times an even draw from 1 - ${priorError} to 1 + ${priorError}, independently`,
  hotBox,
})

export const machine = () => ({
  node: process.version,
  platform: `${process.platform}-${process.arch}`,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryBytes: totalmem(),
})
