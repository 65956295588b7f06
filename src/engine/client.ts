import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { DeapdError } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import { afterCrash, unavailable } from './failure.ts'
import { createMailbox, type Mailbox } from './mailbox.ts'
import type { ProviderSetting } from './ort/providers.ts'
import type {
  BenchOptions,
  BenchResult,
  DoneEvent,
  DraftMode,
  FromEngine,
  GenerateRequest,
  Order,
  Pace,
  ShadowEvent,
  StepEvent,
  ToEngine,
  TokenEvent,
} from './protocol.ts'

export type EngineState = 'starting' | 'ready' | 'restarting' | 'failed' | 'stopped'

export interface EngineStatus {
  readonly state: EngineState
  readonly pid: number | null
  /** One sentence: what it is doing, or why it is not ready. */
  readonly detail: string
  readonly restarts: number
  readonly active: number
  readonly queued: number
  readonly loaded: Extract<FromEngine, { type: 'loaded' }> | null
}

export type EngineAnswer =
  | { readonly type: 'started'; readonly promptTokens: number }
  | ({ readonly type: 'token' } & TokenEvent)
  | ({ readonly type: 'done' } & DoneEvent)

export interface EngineOptions {
  readonly modelDir: string
  readonly manifest: Manifest
  readonly threads: number
  readonly provider?: ProviderSetting
  readonly maxSequences: number
  readonly maxQueued: number
  readonly drafts?: DraftMode
  readonly onStep?: (step: StepEvent) => void
  readonly revoked?: boolean
  readonly onShadow?: (shadow: ShadowEvent) => void
  readonly onStatus?: (status: EngineStatus) => void
  /** Restarts after a crash; the commands that run once want none. */
  readonly restart: boolean
}

/** The daemon's side of the engine process: starts it, restarts it when it dies, and turns its messages into answers. */
export interface Engine {
  status(): EngineStatus
  /** Resolves when the model is loaded; throws the error that prevented it. */
  ready(): Promise<void>
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<EngineAnswer>
  score(text: string, level: number | null): Promise<{ tokens: number; meanNll: number }>
  bench(options: BenchOptions): Promise<BenchResult>
  setOrder(order: Order): void
  setPace(pace: Pace | null): void
  /** After it `balanced` answers come from the full network, also when the engine was restarted. */
  setRevoked(revoked: boolean): void
  close(): Promise<void>
}

const shutdownGraceMs = 2_000

/** In the sources the child is child.ts, in the build child.js. */
/** V8's reducer would collect garbage, of which there is little, whenever the engine rests: for 20 ms, often in an answer's first tokens. */
const forkOptions: ForkOptions = {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  execArgv: [...process.execArgv, '--no-memory-reducer'],
}
const childPath = fileURLToPath(new URL(`./child${import.meta.url.slice(-3)}`, import.meta.url))

export function startEngine(options: EngineOptions): Engine {
  const mailboxes = new Map<string, Mailbox<FromEngine>>()
  const phases = new Map<string, 'queued' | 'active'>()
  let child: ChildProcess | undefined
  let state: EngineState = 'starting'
  let detail = 'loading the model'
  let loaded: Extract<FromEngine, { type: 'loaded' }> | null = null
  let failure: DeapdError | undefined
  let restarts = 0
  let recentCrashes = 0
  let startedAtMs = 0
  let retry: NodeJS.Timeout | undefined
  let order: Order | undefined
  let pace: Extract<ToEngine, { type: 'pace' }> | undefined
  let { revoked = false } = options
  const waiters = new Set<() => void>()

  const status = (): EngineStatus => ({
    state,
    pid: child?.pid ?? null,
    detail,
    restarts,
    active: [...phases.values()].filter((phase) => phase === 'active').length,
    queued: [...phases.values()].filter((phase) => phase === 'queued').length,
    loaded,
  })
  const change = (next: EngineState, why: string): void => {
    state = next
    detail = why
    for (const wake of waiters) wake()
    waiters.clear()
    options.onStatus?.(status())
  }
  const send = (message: ToEngine): void => {
    // A message to a process that just died is lost; its exit handler tells everyone who waits.
    if (child?.connected) child.send(message, () => undefined)
  }

  const take = (message: FromEngine): void => {
    // What a process that is being stopped still says must not bring us back to life.
    if (state === 'stopped') return
    if (message.type === 'loaded') {
      loaded = message
      if (order) send({ type: 'order', ...order })
      if (pace) send(pace)
      return change('ready', `${message.runtime}, ${message.provider}`)
    }
    if (message.type === 'step') return options.onStep?.(message)
    if (message.type === 'shadow') return options.onShadow?.(message)
    if (message.type === 'failed' && message.id === null) {
      failure = new DeapdError(message.code, message.params)
      return
    }
    const id = message.type === 'failed' ? String(message.id) : message.id
    if (message.type === 'started') phases.set(id, 'active')
    mailboxes.get(id)?.put(message)
  }

  const died = (code: number | null, signal: string | null): void => {
    const how = signal ? `signal ${signal}` : `exit code ${code}`
    child = undefined
    loaded = null
    const lost = failure ?? new DeapdError('engine_lost', { detail: how })
    for (const mailbox of mailboxes.values()) mailbox.fail(lost)
    if (state === 'stopped') return
    if (failure || !options.restart) {
      failure ??= new DeapdError('engine_failed', { detail: `its process ended with ${how}` })
      return change('failed', failure.message)
    }
    const { crashes, delayMs } = afterCrash(recentCrashes, performance.now() - startedAtMs)
    recentCrashes = crashes
    restarts++
    change('restarting', `its process ended with ${how}; starting it again`)
    retry = setTimeout(launch, delayMs)
  }

  const launch = (): void => {
    startedAtMs = performance.now()
    const { modelDir, threads, provider = 'auto', maxSequences, maxQueued, drafts = 'auto' } = options
    const started = fork(childPath, [], forkOptions)
    child = started
    started.on('message', (messages: readonly FromEngine[]) => messages.forEach(take))
    started.on('exit', died)
    started.on('error', (error) => {
      failure = new DeapdError('engine_failed', { detail: error.message }, error)
    })
    send({ type: 'load', modelDir, threads, provider, maxSequences, maxQueued, drafts, revoked })
  }

  /** Opens a mailbox for `id`, sends, and yields what comes until the caller stops listening. */
  async function* converse(id: string, message: ToEngine, signal?: AbortSignal): AsyncGenerator<FromEngine> {
    if (state !== 'ready') throw unavailable(state, detail, failure)
    const mailbox = createMailbox<FromEngine>()
    mailboxes.set(id, mailbox)
    phases.set(id, 'queued')
    const cancel = (): void => send({ type: 'cancel', id })
    signal?.addEventListener('abort', cancel, { once: true })
    let ended = false
    try {
      send(message)
      if (signal?.aborted) cancel()
      for (;;) {
        const next = await mailbox.take()
        ended = next.type !== 'token' && next.type !== 'started'
        if (next.type === 'failed') throw new DeapdError(next.code, next.params)
        yield next
        if (ended) return
      }
    } finally {
      signal?.removeEventListener('abort', cancel)
      if (!ended) cancel()
      mailboxes.delete(id)
      phases.delete(id)
    }
  }

  const ask = async <T extends FromEngine['type']>(id: string, message: ToEngine, type: T) => {
    for await (const reply of converse(id, message)) {
      if (reply.type === type) return reply as Extract<FromEngine, { type: T }>
    }
    throw new DeapdError('engine_failed', { detail: `no ${type} came back` })
  }

  launch()
  return {
    status,
    async ready() {
      while (state === 'starting' || state === 'restarting') await new Promise<void>((wake) => waiters.add(wake))
      if (state !== 'ready') throw unavailable(state, detail, failure)
    },
    async *generate(request, signal) {
      for await (const message of converse(request.id, { type: 'generate', request }, signal)) {
        if (message.type === 'started' || message.type === 'token' || message.type === 'done') yield message
      }
    },
    score: (text, level) => ask('score', { type: 'score', id: 'score', text, level }, 'scored'),
    bench: async (bench) => (await ask('bench', { type: 'bench', id: 'bench', ...bench }, 'benched')).result,
    setOrder(next) {
      const { capLevel, ecoLevel, duty, concurrency, prefillChunk, shadows } = next
      const wanted = { capLevel, ecoLevel, duty, concurrency, prefillChunk, shadows }
      if (isDeepStrictEqual(order, wanted)) return
      order = wanted
      send({ type: 'order', ...wanted })
    },
    setPace(next) {
      pace = { type: 'pace', pace: next }
      send(pace)
    },
    setRevoked(next) {
      revoked = next
      send({ type: 'revoked', revoked })
    },
    async close() {
      clearTimeout(retry)
      state = 'stopped'
      for (const mailbox of mailboxes.values()) mailbox.fail(new DeapdError('shutting_down'))
      const last = child
      if (!last || last.exitCode !== null || last.signalCode !== null) return
      send({ type: 'shutdown' })
      const kill = setTimeout(() => last.kill('SIGKILL'), shutdownGraceMs)
      await once(last, 'exit')
      clearTimeout(kill)
    },
  }
}
