import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'

/**
 * Who asks, for a queue that takes clients in turn: the end user an OpenAI client names, else the holder of an API key, else
 * the address. Only compared, never kept; keys go no further than their hash.
 */
export function clientKey(request: FastifyRequest): string {
  const { user, safety_identifier } = (request.body ?? {}) as Record<string, unknown>
  const name = [safety_identifier, user].find((value) => typeof value === 'string' && value !== '')
  if (name !== undefined) return `user ${name}`
  const key = request.headers.authorization
  if (key !== undefined) return `key ${createHash('sha256').update(key).digest('base64')}`
  return `address ${request.ip}`
}
