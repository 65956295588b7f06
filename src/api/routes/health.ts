import type { FastifyPluginAsync } from 'fastify'
import { monotonicMs } from '../../engine/protocol.ts'
import type { Scope } from '../scope.ts'

/** The control loop ticks at least once a second: three missed ticks are a loop that stands still. */
const staleMs = 3500

export function health({ deps, connections }: Scope): FastifyPluginAsync {
  return async (app) => {
    app.get('/healthz', async (_, reply) => {
      const tickAgeMs = Math.max(0, Math.round(monotonicMs() - deps.snapshot().monoMs))
      const alive = tickAgeMs < staleMs
      return reply
        .code(alive ? 200 : 503)
        .send({ status: alive ? 'ok' : 'control loop stalled', tick_age_ms: tickAgeMs })
    })

    app.get('/readyz', async (_, reply) => {
      const { engine } = deps.snapshot()
      const ready = engine.state === 'ready' && !connections.draining
      if (!ready) reply.header('retry-after', '3')
      return reply.code(ready ? 200 : 503).send({
        status: ready ? 'ready' : connections.draining ? 'draining' : engine.state,
        model: deps.model.id,
        engine: {
          state: engine.state,
          pid: engine.pid,
          ...(engine.pid === null && { pid_reason: engine.pidReason }),
          detail: engine.detail,
          restarts: engine.restarts,
        },
      })
    })
  }
}
