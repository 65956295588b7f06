import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { DeapdError } from '../errors.ts'

/** The answers and streams that are open, so that a departing client and a departing daemon both end them. */
export interface Connections {
  readonly draining: boolean
  /** A signal that aborts when the client goes, or when the drain has waited long enough. */
  track(response: ServerResponse): AbortSignal
  /** Endless streams (telemetry) end at once on drain; `end` is called then or never. */
  trackEndless(response: ServerResponse, end: () => void): void
  drain(waitMs: number): Promise<void>
}

export function createConnections(): Connections {
  const answers = new Map<ServerResponse, AbortController>()
  const endless = new Map<ServerResponse, () => void>()
  let draining = false
  let idle = () => {}

  return {
    get draining() {
      return draining
    },
    track(response) {
      const controller = new AbortController()
      answers.set(response, controller)
      response.once('close', () => {
        answers.delete(response)
        if (!response.writableFinished) controller.abort(new ClientGone())
        if (answers.size === 0) idle()
      })
      return controller.signal
    },
    trackEndless(response, end) {
      endless.set(response, end)
      response.once('close', () => endless.delete(response))
    },
    async drain(waitMs) {
      draining = true
      for (const end of endless.values()) end()
      if (answers.size === 0) return
      const emptied = new Promise<void>((resolve) => {
        idle = resolve
      })
      await Promise.race([emptied, sleep(waitMs, undefined, { ref: false })])
      for (const controller of answers.values()) controller.abort(new DeapdError('shutting_down'))
      // Time for the error events to leave; whatever still hangs after that is closed by the server.
      await Promise.race([emptied, sleep(500, undefined, { ref: false })])
    },
  }
}

/** Why an answer ended without anyone left to tell. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'

  constructor() {
    super('the client closed the connection')
  }
}
