import type { FastifyPluginAsync } from 'fastify'
import { metricsContentType, renderMetrics } from '../../telemetry/prometheus.ts'
import type { Scope } from '../scope.ts'

export function metrics({ deps }: Scope): FastifyPluginAsync {
  return async (app) => {
    app.get('/metrics', async (_, reply) => reply.type(metricsContentType).send(await renderMetrics(deps.snapshot())))
  }
}
