import { readFile } from 'node:fs/promises'
import type { FastifyPluginAsync } from 'fastify'
import type { Scope } from '../scope.ts'

const assets = [
  { url: '/ui', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/ui/page.css', file: 'page.css', type: 'text/css; charset=utf-8' },
  { url: '/ui/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8' },
  { url: '/ui/chat.js', file: 'chat.js', type: 'text/javascript; charset=utf-8' },
  { url: '/ui/board.js', file: 'board.js', type: 'text/javascript; charset=utf-8' },
  { url: '/ui/chart.js', file: 'chart.js', type: 'text/javascript; charset=utf-8' },
  { url: '/ui/icon.svg', file: 'icon.svg', type: 'image/svg+xml' },
]

/** Nothing from elsewhere: the page must work on a board without a network, and must not be framed. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export function web({ deps }: Scope): FastifyPluginAsync {
  return async (app) => {
    for (const { url, file, type } of assets) {
      const content = await readFile(new URL(`../web/${file}`, import.meta.url))
      app.get(url, async (_, reply) =>
        reply
          .type(type)
          .header('cache-control', 'no-cache')
          .header('content-security-policy', policy)
          .header('x-content-type-options', 'nosniff')
          .send(content),
      )
    }
    app.get('/ui/', async (_, reply) => reply.redirect('/ui', 308))

    app.get('/ui/model.json', async () => {
      const { id, manifest } = deps.model
      return {
        id,
        name: manifest.name,
        description: manifest.description,
        default_system_prompt: manifest.default_system_prompt,
        sample_questions: manifest.sample_questions,
        context_tokens: manifest.shape.context_tokens,
        levels: manifest.levels.map((level, index) => ({ level: index, share: level.share })),
      }
    })

    app.get('/', async (request, reply) => {
      const browser = request.headers.accept?.includes('text/html') ?? false
      return browser ? reply.redirect('/ui', 302) : reply.type('text/plain; charset=utf-8').send('Ollama is running')
    })
  }
}
