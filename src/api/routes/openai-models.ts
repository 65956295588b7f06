import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { DeapdError } from '../../errors.ts'
import { checkModel } from '../model-name.ts'
import type { InstalledModel } from '../ports.ts'
import type { Scope } from '../scope.ts'

export function openaiModels({ deps }: Scope): FastifyPluginAsync {
  return async (app) => {
    const list = async () => ({ object: 'list', data: [listing(deps.model)] })
    app.get('/v1/models', list)
    app.get('/v1/models/', list)

    // A wildcard, because ids may hold slashes, plain or encoded.
    app.get('/v1/models/*', async (request: FastifyRequest<{ Params: { '*': string } }>) => {
      checkModel(request.params['*'], deps.model)
      return listing(deps.model)
    })

    app.post('/v1/embeddings', async () => {
      throw new DeapdError('not_found', { what: 'embedding model', param: 'model' })
    })
  }
}

function listing(model: InstalledModel): object {
  return {
    id: model.id,
    object: 'model',
    created: Math.floor(model.modifiedAt.getTime() / 1000),
    owned_by: 'deapd',
    context_length: model.manifest.shape.context_tokens,
    levels: model.manifest.levels.map((level) => level.share),
  }
}
