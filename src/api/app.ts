import { randomUUID } from 'node:crypto'
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from 'fastify'
import { DeapdError } from '../errors.ts'
import { ClientGone, createConnections } from './connections.ts'
import { faultOf, ollamaBody, openaiBody } from './faults.ts'
import { guard } from './guard.ts'
import type { ApiDeps } from './ports.ts'
import { health } from './routes/health.ts'
import { metrics } from './routes/metrics.ts'
import { ollamaAnswers } from './routes/ollama-answers.ts'
import { ollamaModels } from './routes/ollama-models.ts'
import { openaiChat } from './routes/openai-chat.ts'
import { openaiCompletions } from './routes/openai-completions.ts'
import { openaiModels } from './routes/openai-models.ts'
import { power } from './routes/power.ts'
import { web } from './routes/web.ts'
import { defaultTiming, type Timing } from './scope.ts'

export interface AppOptions {
  readonly logger?: FastifyServerOptions['logger']
  /** A logger made elsewhere (pino); wins over `logger`. */
  readonly loggerInstance?: FastifyBaseLogger
  readonly timing?: Partial<Timing>
}

/** The HTTP side as one value: routes over the daemon's ports. Nothing listens until the caller says so. */
export function buildApp(deps: ApiDeps, options: AppOptions = {}): FastifyInstance {
  const connections = createConnections()
  const timing = { ...defaultTiming, ...options.timing }
  const scope = { deps, connections, timing }
  const app = fastify({
    ...(options.loggerInstance ? { loggerInstance: options.loggerInstance } : { logger: options.logger ?? false }),
    bodyLimit: deps.settings.bodyLimitBytes,
    genReqId: () => `req_${randomUUID()}`,
    requestIdHeader: false,
    // A page that watches the power would fill the log; faults and decisions are logged where they happen.
    logController: new LogController({ disableRequestLogging: true }),
    // Our own answer during a drain has the shape and the Retry-After that clients read.
    return503OnClosing: false,
    forceCloseConnections: true,
    // A path that is no path reaches no hook and no error handler.
    frameworkErrors: (thrown, request, reply) => {
      reply.header('x-request-id', request.id)
      sendFault(thrown, request, reply, deps)
    },
    routerOptions: { maxParamLength: 500 },
  })
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  acceptJson(app)
  answerErrors(app, deps)

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    if (guard(request, reply, deps.settings) === 'answered') return reply.send()
    if (connections.draining && request.method === 'POST') throw new DeapdError('shutting_down')
  })
  app.addHook('preClose', () => connections.drain(timing.drainMs))

  app.register(openaiChat(scope))
  app.register(openaiCompletions(scope))
  app.register(openaiModels(scope))
  app.register(ollamaAnswers(scope))
  app.register(ollamaModels(scope))
  app.register(power(scope))
  app.register(health(scope))
  app.register(metrics(scope))
  app.register(web(scope))
  return app
}

/** Bodies are JSON whatever the content type says: `curl -d` names it a form, and Ollama's users are used to that. */
function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'ignore')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else void parse(request, body as string, done)
  })
}

function answerErrors(app: FastifyInstance, deps: ApiDeps): void {
  app.setErrorHandler((thrown, request, reply) => {
    const fault = faultOf(thrown, deps.settings.bodyLimitBytes)
    // Who hangs up has not met an error, and reads no answer.
    if (thrown instanceof ClientGone) request.log.debug({ answer: request.id }, thrown.message)
    else if (fault.status >= 500) request.log.error({ err: thrown }, 'request failed')
    return sendFault(thrown, request, reply, deps)
  })
  app.setNotFoundHandler((request) => {
    throw new DeapdError('not_found', { what: `${request.method} ${request.url.split('?', 1)[0]}` })
  })
}

function sendFault(thrown: unknown, request: FastifyRequest, reply: FastifyReply, { settings }: ApiDeps): FastifyReply {
  const fault = faultOf(thrown, settings.bodyLimitBytes)
  const body = request.url.startsWith('/api/') ? ollamaBody(fault, thrown) : openaiBody(fault)
  return reply.code(fault.status).headers(fault.headers).type('application/json; charset=utf-8').send(body)
}
