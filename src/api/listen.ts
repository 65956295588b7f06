import type { FastifyInstance } from 'fastify'
import { DeapdError, detailOf } from '../errors.ts'

/** Binds the app and returns its address as a URL; port 0 takes any free one. Throws `port_busy` or `address_unusable`. */
export async function listen(app: FastifyInstance, address: { host: string; port: number }): Promise<string> {
  const { host, port } = address
  try {
    await app.listen({ host, port })
  } catch (error) {
    const busy = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const params = { host, port, what: 'the HTTP API', option: '--listen HOST:PORT', detail: detailOf(error) }
    throw new DeapdError(busy ? 'port_busy' : 'address_unusable', params, error)
  }
  const bound = app.server.address()
  const shown = host.includes(':') ? `[${host}]` : host
  return `http://${shown}:${typeof bound === 'object' && bound ? bound.port : port}`
}
