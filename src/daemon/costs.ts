import type { ModelCost } from '../board/work.ts'
import { gridOf, grids } from '../energy/carbon.ts'
import { kvBytesPerToken } from '../engine/kv-cache.ts'
import { DeapdError } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import { asIfCost } from '../twin/as-if.ts'

/** What a token of the loaded model costs, or of the one it stands for on a simulated board. */
export function modelCost(manifest: Manifest, asIf: string): ModelCost {
  const { parameters, vocab_size, hidden_size } = manifest.shape
  const shares = manifest.levels.map(({ share }) => share)
  return (
    asIfCost(asIf, shares) ?? {
      weightBytes: manifest.levels.map(({ weight_bytes }) => weight_bytes),
      kvBytesPerContextToken: kvBytesPerToken(manifest),
      // Two operations per weight; the embedding is looked up, not multiplied.
      flopsPerToken: 2 * Math.max(parameters - vocab_size * hidden_size, hidden_size),
    }
  )
}

/** Grams of CO2eq per kWh from a country code of the table or a number; throws `setting_invalid`. */
export function gridIntensity(grid: string): number {
  const known = gridOf(grid)
  if (known) return known.row.gramsPerKwh
  const number = Number(grid)
  if (grid.trim() !== '' && Number.isFinite(number) && number >= 0) return number
  const detail = `it must be ${Object.keys(grids).join(', ')} or grams per kWh`
  throw new DeapdError('setting_invalid', { name: 'grid', value: grid, detail, source: '--grid' })
}
