import type { FastifyReply, FastifyRequest } from 'fastify'
import { DeapdError } from '../errors.ts'
import type { ApiDeps } from './ports.ts'

type Settings = Pick<ApiDeps['settings'], 'allowedHosts' | 'allowedOrigins'>

const localHosts = new Set(['127.0.0.1', 'localhost', '[::1]', '::1'])

/** Headers that the OpenAI client sends from a browser; a preflight that leaves one out stops the request. */
const clientHeaders = [
  'authorization',
  'content-type',
  'user-agent',
  'accept',
  'x-request-id',
  'openai-beta',
  'openai-organization',
  'openai-project',
  'x-stainless-arch',
  'x-stainless-async',
  'x-stainless-custom-poll-interval',
  'x-stainless-helper-method',
  'x-stainless-lang',
  'x-stainless-os',
  'x-stainless-package-version',
  'x-stainless-poll-helper',
  'x-stainless-retry-count',
  'x-stainless-runtime',
  'x-stainless-runtime-version',
  'x-stainless-timeout',
].join(', ')

/**
 * Who may talk to us, decided before anything is read. A page that rebinds its own name to 127.0.0.1 still sends that
 * name as Host; a page of another origin sends its Origin. Programs send neither and are let through.
 */
export function guard(request: FastifyRequest, reply: FastifyReply, settings: Settings): 'go on' | 'answered' {
  checkHost(request, settings)
  const origin = request.headers.origin
  if (origin === undefined) return 'go on'
  if (!isAllowedOrigin(origin, request, settings)) throw new DeapdError('foreign_origin', { origin })
  reply.header('access-control-allow-origin', origin).header('vary', 'Origin')
  reply.header('access-control-expose-headers', 'x-request-id, retry-after, x-should-retry')
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return 'go on'
  reply
    .code(204)
    .header('access-control-allow-methods', 'GET, HEAD, POST, PUT, DELETE, OPTIONS')
    .header('access-control-allow-headers', clientHeaders)
    .header('access-control-max-age', '600')
  if (request.headers['access-control-request-private-network'] === 'true') {
    reply.header('access-control-allow-private-network', 'true')
  }
  return 'answered'
}

function checkHost(request: FastifyRequest, settings: Settings): void {
  const header = request.headers.host
  // HTTP/1.0 programs send none; every browser does.
  if (header === undefined || header === '') return
  const host = hostName(header)
  if (localHosts.has(host) || settings.allowedHosts.some((allowed) => allowed.toLowerCase() === host)) return
  // The literal address this connection came in on cannot be rebound: there is no name in it.
  const bound = request.socket.localAddress?.replace(/^::ffff:/, '')
  if (bound !== undefined && (host === bound || host === `[${bound}]`)) return
  throw new DeapdError('foreign_host', { host })
}

function hostName(header: string): string {
  return header.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
}

function isAllowedOrigin(origin: string, request: FastifyRequest, settings: Settings): boolean {
  if (settings.allowedOrigins.includes(origin)) return true
  // Our own page: the origin's host is the Host we just accepted, whatever the scheme a proxy puts in front.
  return URL.canParse(origin) && new URL(origin).host === (request.headers.host ?? '').toLowerCase()
}
