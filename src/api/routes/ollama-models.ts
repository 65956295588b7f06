import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { DeapdError } from '../../errors.ts'
import { Maybe } from '../body.ts'
import { checkModel } from '../model-name.ts'
import { isoOffset, ollamaDetails, ollamaListing } from '../ollama.ts'
import { ndjson } from '../outlet.ts'
import type { InstalledModel } from '../ports.ts'
import type { Scope } from '../scope.ts'

/** Older clients say `name`, newer ones `model`. */
const Named = Type.Object({ model: Maybe(Type.String()), name: Maybe(Type.String()), stream: Maybe(Type.Boolean()) })

/** What Ollama offers and one offline, read-only package does not. */
const absent = [
  { method: 'POST', url: '/api/push', text: 'deapd pushes nothing: it is made to run without a network.' },
  { method: 'POST', url: '/api/create', text: 'Models are made with `deapd models import SRC --out DIR`.' },
  { method: 'POST', url: '/api/copy', text: 'Models are folders: copy the folder.' },
  { method: 'DELETE', url: '/api/delete', text: 'Models are folders: remove the folder when deapd is stopped.' },
  { method: 'POST', url: '/api/embed', text: 'There is no embedding model here.' },
  { method: 'POST', url: '/api/embeddings', text: 'There is no embedding model here.' },
]

/** Far enough to mean "as long as the daemon runs", near enough for every date library. */
const never = new Date('2100-01-01T00:00:00.000Z')

export function ollamaModels({ deps }: Scope): FastifyPluginAsyncTypebox {
  const { model } = deps
  return async (app) => {
    app.get('/api/version', async () => ({ version: deps.version }))
    app.get('/api/tags', async () => ({ models: [ollamaListing(model)] }))

    app.get('/api/ps', async () => {
      const { engine } = deps.snapshot()
      if (engine.state !== 'ready') return { models: [] }
      const onGpu = /cuda|tensorrt/i.test(engine.provider)
      return {
        models: [
          {
            ...ollamaListing(model),
            expires_at: isoOffset(never),
            size_vram: onGpu ? model.bytes : 0,
            context_length: model.manifest.shape.context_tokens,
          },
        ],
      }
    })

    app.post('/api/show', { schema: { body: Named } }, async ({ body }) => {
      checkModel(nameIn(body), model)
      return description(model)
    })

    app.post('/api/pull', { schema: { body: Named } }, async ({ body }, reply) => {
      checkModel(nameIn(body), model)
      if (body.stream === false) return { status: 'success' }
      const lines = ['pulling manifest', 'verifying sha256 digest', 'success'].map((status) => ndjson({ status }))
      return reply.type('application/x-ndjson').send(lines.join(''))
    })

    for (const { method, url, text } of absent) {
      app.route({
        method,
        url,
        handler: () => {
          throw new DeapdError('not_offered', { what: url, detail: text })
        },
      })
    }
  }
}

function nameIn(body: { model?: string | null; name?: string | null }): string {
  const name = body.model || body.name
  if (!name) throw new DeapdError('bad_request', { detail: 'model is required', param: 'model' })
  return name
}

function description(model: InstalledModel): object {
  const { manifest } = model
  const { shape } = manifest
  const system = manifest.default_system_prompt
  return {
    license: manifest.licence,
    modelfile: `FROM ${model.id}\n${system === null ? '' : `SYSTEM """${system}"""\n`}`,
    // Clients read this as `key value` lines and stumble over empty ones.
    parameters: `num_ctx ${shape.context_tokens}\ntemperature 0`,
    template: '{{ if .System }}{{ .System }}\n{{ end }}{{ .Prompt }}',
    ...(system !== null && { system }),
    details: ollamaDetails(model),
    model_info: {
      'general.architecture': shape.family,
      'general.basename': manifest.name,
      'general.parameter_count': shape.parameters,
      'general.file_type': 0,
      'llama.attention.head_count': shape.heads,
      'llama.attention.head_count_kv': shape.kv_heads,
      'llama.block_count': shape.layers,
      'llama.context_length': shape.context_tokens,
      'llama.embedding_length': shape.hidden_size,
      'llama.feed_forward_length': shape.ffn_size,
      'llama.vocab_size': shape.vocab_size,
    },
    capabilities: ['completion'],
    modified_at: isoOffset(model.modifiedAt),
  }
}
