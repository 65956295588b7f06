import { DeapdError } from '../errors.ts'
import type { InstalledModel } from './ports.ts'

/** Accepts the resident model by its id or `id:latest`; no name at all means the only model there is. */
export function checkModel(name: string | null | undefined, model: InstalledModel): void {
  if (name === undefined || name === null || name === '') return
  if (name === model.id || name === `${model.id}:latest`) return
  throw new DeapdError('model_not_found', { model: name, installed: model.id, param: 'model' })
}
