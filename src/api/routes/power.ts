import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { DeapdError } from '../../errors.ts'
import type { Snapshot } from '../../telemetry/snapshot.ts'
import { toWire } from '../../telemetry/wire.ts'
import { Maybe } from '../body.ts'
import { sse, takeOver } from '../outlet.ts'
import type { BudgetState, HoldState } from '../ports.ts'
import type { Scope } from '../scope.ts'

/** Twice a second is what an eye can follow; the loop itself ticks at 10 Hz. */
const streamIntervalMs = 480

const WindowName = Type.Object({ name: Type.String({ minLength: 1, maxLength: 128 }) })

export function power({ deps, connections }: Scope): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/v1/power', async () => toWire(deps.snapshot()))

    app.get('/v1/power/stream', { exposeHeadRoute: false }, async (_, reply) => {
      const raw = takeOver(reply, 'text/event-stream; charset=utf-8')
      let sentAtMs = Number.NEGATIVE_INFINITY
      const send = (snapshot: Snapshot) => {
        if (snapshot.monoMs - sentAtMs < streamIntervalMs) return
        // A slow reader misses snapshots; old ones are worth nothing and would pile up.
        if (raw.writableNeedDrain || raw.writableEnded) return
        sentAtMs = snapshot.monoMs
        raw.write(sse(toWire(snapshot)))
      }
      raw.write('retry: 2000\n\n')
      send(deps.snapshot())
      const unsubscribe = deps.onSnapshot(send)
      raw.once('close', unsubscribe)
      connections.trackEndless(raw, () => raw.end())
      return reply
    })

    app.get('/v1/power/budget', async () => budgetWire(deps.budget.get()))

    // The figures are checked by the budget itself, which knows the board and says why it refuses.
    const Order = Type.Object({ watts: Type.Unknown(), lease_s: Type.Unknown(), source: Maybe(Type.String()) })
    app.put('/v1/power/budget', { schema: { body: Type.Partial(Order) } }, async ({ body }) =>
      budgetWire(deps.budget.set(body.watts, body.lease_s ?? null, body.source === 'cli' ? 'cli' : 'http')),
    )

    app.get('/v1/power/hold', async () => holdWire(deps.hold.get()))

    const Point = Type.Object({ gpu_mhz: Type.Unknown(), level: Type.Unknown(), lease_s: Type.Unknown() })
    const HoldOrder = Type.Partial(Type.Object({ ...Point.properties, source: Maybe(Type.String()) }))
    app.put('/v1/power/hold', { schema: { body: HoldOrder } }, async ({ body }) => {
      const point = { gpuMhz: body.gpu_mhz, level: body.level }
      return holdWire(deps.hold.set(point, body.lease_s ?? null, body.source === 'cli' ? 'cli' : 'http'))
    })

    app.delete('/v1/power/hold', async () => holdWire(deps.hold.release()))

    // `previous` is the run before this one, when it did not end by itself.
    app.get('/v1/power/blackbox', async () =>
      toWire({ previous: deps.blackBox.previous(), current: deps.blackBox.current() }),
    )

    app.get('/v1/energy/export.csv', async (_, reply) => {
      reply.type('text/csv; charset=utf-8').header('content-disposition', 'attachment; filename="emissions.csv"')
      return deps.energyCsv()
    })

    app.get('/v1/energy/windows', async () => ({ windows: toWire(deps.windows.list()) }))

    app.post('/v1/energy/windows', { schema: { body: WindowName } }, async ({ body }, reply) =>
      reply.code(201).send(toWire(deps.windows.open(body.name))),
    )

    app.post('/v1/energy/windows/:name', { schema: { params: WindowName } }, async ({ params }, reply) =>
      reply.code(201).send(toWire(deps.windows.open(params.name))),
    )

    app.delete('/v1/energy/windows/:name', { schema: { params: WindowName } }, async ({ params }) => {
      const closed = deps.windows.close(params.name)
      if (closed === undefined) throw new DeapdError('not_found', { what: `open energy window "${params.name}"` })
      return toWire(closed)
    })
  }
}

function holdWire({ pointsHz, ...hold }: HoldState): unknown {
  const gpuPointsHz = [...pointsHz]
  return toWire({ ...hold, leaseUntil: hold.leaseUntil?.toISOString() ?? null, gpuPointsHz })
}

function budgetWire(budget: BudgetState): unknown {
  return toWire({ ...budget, leaseUntil: budget.leaseUntil?.toISOString() ?? null })
}
