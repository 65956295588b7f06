import { once } from 'node:events'
import type { FastifyReply } from 'fastify'

const slowReaderMs = 60_000

/** A streamed reply being written piece by piece; a slow reader holds `send` back instead of filling memory. */
export interface Outlet {
  send(text: string): Promise<void>
  end(): void
}

interface OutletOptions {
  readonly contentType: string
  readonly signal: AbortSignal
  /** Written after this many quiet milliseconds so that proxies keep the connection; null for none. */
  readonly ping: { readonly text: string; readonly everyMs: number } | null
}

/** Sends the headers now and hands the connection over; from here on errors must be written as part of the stream. */
export function openOutlet(reply: FastifyReply, options: OutletOptions): Outlet {
  const raw = takeOver(reply, options.contentType)
  const { ping, signal } = options
  const timer = ping && setInterval(() => !raw.writableNeedDrain && raw.write(ping.text), ping.everyMs)
  raw.once('close', () => timer && clearInterval(timer))

  return {
    async send(text) {
      if (text === '' || raw.destroyed || raw.writableEnded) return
      timer?.refresh()
      if (raw.write(text)) return
      // A reader that takes nothing for a minute is gone in all but name, and holds a slot of the engine.
      const patience = setTimeout(() => raw.destroy(), slowReaderMs)
      await once(raw, 'drain', { signal }).catch(() => undefined)
      clearTimeout(patience)
    },
    end() {
      if (timer) clearInterval(timer)
      raw.end()
    },
  }
}

/** Detaches the response from fastify with the headers a stream needs; buffering proxies are told not to. */
export function takeOver(reply: FastifyReply, contentType: string): FastifyReply['raw'] {
  reply.hijack()
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': contentType,
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  reply.raw.flushHeaders()
  return reply.raw
}

export const sse = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`
export const ndjson = (data: unknown): string => `${JSON.stringify(data)}\n`
