import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { buildApp } from '../src/api/app.ts'
import type { Answer, ApiDeps, BudgetState, EnergyWindow } from '../src/api/ports.ts'
import type { Timing } from '../src/api/scope.ts'
import { createHold } from '../src/daemon/hold.ts'
import type { GenerateRequest } from '../src/engine/protocol.ts'
import { monotonicMs } from '../src/engine/protocol.ts'
import { DeapdError, type ErrorCode, errorTable } from '../src/errors.ts'
import type { Manifest } from '../src/models/manifest.ts'
import type { Snapshot } from '../src/telemetry/snapshot.ts'

const snapshot: Snapshot = JSON.parse(readFileSync(new URL('golden/snapshot.json', import.meta.url), 'utf8'))

const manifest: Manifest = {
  schema: 'deapd-model/1',
  name: 'Support S',
  description: 'Answers questions about orders.',
  source: 'made here',
  licence: 'Apache-2.0',
  created: '2026-11-23T00:00:00Z',
  shape: {
    family: 'llama',
    hidden_size: 128,
    layers: 4,
    heads: 4,
    kv_heads: 2,
    head_size: 32,
    cache_head_size: 32,
    ffn_size: 384,
    vocab_size: 512,
    context_tokens: 512,
    parameters: 1_049_600,
  },
  dtype: 'float32',
  quantisation: { weights: 'int4', lm_head: 'int8', block: 32 },
  bos_token_id: 1,
  eos_token_ids: [2],
  levels: [0.4, 0.6, 0.8, 1].map((share) => ({ share, weight_bytes: Math.round(1e6 * share), loss: null })),
  chunks: { channels: 32, order: 'weight-norm', widths: [] },
  energy_priors: null,
  certificate: null,
  default_system_prompt: 'Returns within 30 days.',
  sample_questions: ['Where is order 17?', 'May I return it?'],
  files: {},
}

type Generate = ApiDeps['generate']

const energy = {
  joules: 4.5,
  joulesReason: null,
  joulesPerToken: 1.5,
  gco2eq: 0.0005,
  uncertaintyJoules: 0.9,
  method: 'simulated',
  rail: 'sum3',
} as const

function tokenOf(id: string, text: string, at: number): Answer {
  const logprob = -0.1 * (at + 1)
  const topLogprobs = [{ tokenId: 10 + at, token: text, logprob }]
  return { type: 'token', id, tokenId: 10 + at, token: text, text, level: at === 0 ? 3 : 1, logprob, topLogprobs }
}

function doneOf(id: string, tokens: number, more: Partial<Extract<Answer, { type: 'done' }>> = {}): Answer {
  return {
    type: 'done',
    id,
    finishReason: 'stop',
    promptTokens: 20,
    cachedTokens: 8,
    completionTokens: tokens,
    promptIds: [1, 2, 3],
    levels: { 1: 2, 3: 1 },
    degraded: false,
    queueSeconds: 0.001,
    prefillSeconds: 0.01,
    decodeSeconds: 0.02,
    energy,
    ...more,
  }
}

/** An engine that says these pieces. */
const says = (...pieces: readonly string[]): Generate =>
  async function* (request) {
    yield { type: 'started', promptTokens: 20 }
    for (const [at, piece] of pieces.entries()) yield tokenOf(request.id, piece, at)
    yield doneOf(request.id, pieces.length)
  }

/** An engine that says these pieces and then waits for its signal. */
const saysThenWaits = (pieces: readonly string[], seen: { signal?: AbortSignal } = {}): Generate =>
  async function* (request, signal) {
    seen.signal = signal
    yield { type: 'started', promptTokens: 20 }
    for (const [at, piece] of pieces.entries()) yield tokenOf(request.id, piece, at)
    if (!signal.aborted) await once(signal, 'abort')
    yield doneOf(request.id, pieces.length, { finishReason: 'cancelled' })
  }

const fails = (error: unknown, ...pieces: readonly string[]): Generate =>
  async function* (request) {
    if (pieces.length > 0) yield { type: 'started', promptTokens: 20 }
    for (const [at, piece] of pieces.entries()) yield tokenOf(request.id, piece, at)
    throw error
  }

interface Fake {
  readonly app: ReturnType<typeof buildApp>
  readonly asked: GenerateRequest[]
  readonly push: (next: Partial<Snapshot>) => void
  readonly listeners: Set<(snapshot: Snapshot) => void>
}

function fake(t: Test, generate: Generate = says('Hel', 'lo', ' there'), more: Partial<FakeOptions> = {}): Fake {
  const asked: GenerateRequest[] = []
  const listeners = new Set<(snapshot: Snapshot) => void>()
  let current: Snapshot = { ...snapshot, monoMs: monotonicMs(), ...more.snapshot }
  const windows = new Map<string, EnergyWindow>()
  let budget: BudgetState = {
    watts: 50,
    source: 'config',
    leaseUntil: null,
    minWatts: 12,
    maxWatts: 60,
    configuredWatts: 50,
  }
  const app = buildApp(
    {
      version: '0.1.0',
      model: {
        id: 'support-s',
        manifest,
        bytes: 1_500_000,
        digest: 'ab'.repeat(32),
        modifiedAt: new Date('2026-11-20T08:00:00Z'),
      },
      generate: (request, signal) => {
        asked.push(request)
        return generate(request, signal)
      },
      snapshot: () => current,
      onSnapshot: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      hold: createHold({
        pointsHz: [306e6, 510e6],
        levels: 4,
        now: () => new Date('2026-11-23T10:00:00Z'),
        onChange: () => undefined,
      }),
      budget: {
        get: () => budget,
        set: (watts, lease, source) => {
          if (typeof watts !== 'number' || watts < 12 || watts > 60) {
            throw new DeapdError('budget_invalid', { value: String(watts), board: 'x', minWatts: 12, maxWatts: 60 })
          }
          if (lease !== null && typeof lease !== 'number')
            throw new DeapdError('lease_invalid', { value: String(lease) })
          const leaseUntil = lease === null ? null : new Date(Date.UTC(2026, 10, 23, 10, 0, lease))
          budget = { ...budget, watts, source, leaseUntil }
          return budget
        },
      },
      blackBox: { previous: () => null, current: () => null },
      windows: {
        open: (name) => {
          const window = {
            name,
            startedAt: snapshot.ts,
            endedAt: null,
            joules: 0,
            unknownSeconds: 0,
            method: 'simulated',
          } as const
          windows.set(name, window)
          return window
        },
        close: (name) => {
          const window = windows.get(name)
          windows.delete(name)
          return window && { ...window, endedAt: snapshot.ts, joules: 12.5 }
        },
        list: () => [...windows.values()],
      },
      energyCsv: () => 'timestamp,project_name\n',
      settings: { allowedHosts: ['board.local'], allowedOrigins: ['http://shop.example'], bodyLimitBytes: 20_000 },
    },
    { timing: more.timing },
  )
  t.teardown(() => app.close())
  const push = (next: Partial<Snapshot>) => {
    current = { ...current, ...next }
    for (const listener of listeners) listener(current)
  }
  return { app, asked, push, listeners }
}

interface FakeOptions {
  readonly snapshot: Partial<Snapshot>
  readonly timing: Partial<Timing>
}

async function listen(app: Fake['app']): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

const user = (content: unknown) => ({ messages: [{ role: 'user', content }] })
const chat = (app: Fake['app'], payload: object) =>
  app.inject({ method: 'POST', url: '/v1/chat/completions', payload: { model: 'support-s', ...payload } })
const post = (app: Fake['app'], url: string, payload: object) => app.inject({ method: 'POST', url, payload })

/** The data of an SSE body, in order; [DONE] stays text. */
const dataOf = (body: string) =>
  body
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => (line === 'data: [DONE]' ? '[DONE]' : JSON.parse(line.slice(6))))

t.test('chat: a whole answer carries text, usage and the joules', async (t) => {
  const { app, asked } = fake(t)
  const reply = await chat(app, user('Hi'))
  t.equal(reply.statusCode, 200)
  t.match(reply.headers['x-request-id'], /^req_/)
  t.match(reply.json(), {
    id: /^chatcmpl-/,
    object: 'chat.completion',
    created: Number,
    model: 'support-s',
    choices: [
      { index: 0, message: { role: 'assistant', content: 'Hello there' }, finish_reason: 'stop', logprobs: null },
    ],
    usage: {
      prompt_tokens: 20,
      completion_tokens: 3,
      total_tokens: 23,
      prompt_tokens_details: { cached_tokens: 8 },
      energy: {
        joules: 4.5,
        joules_per_token: 1.5,
        gco2eq: 0.0005,
        uncertainty_joules: 0.9,
        method: 'simulated',
        rail: 'sum3',
        levels: { 1: 2, 3: 1 },
        degraded: false,
      },
    },
  })
  t.notOk('joules_reason' in reply.json().usage.energy)
  t.match(asked[0], { policy: 'balanced', level: null, sampling: { temperature: 0, topP: 1, maxTokens: null } })
})

t.test('chat: an unknown energy is null with its reason', async (t) => {
  const unknown = { ...energy, joules: null, joulesReason: 'no sensor', joulesPerToken: null, gco2eq: null }
  const { app } = fake(t, async function* (request) {
    yield doneOf(request.id, 0, { energy: unknown, finishReason: 'length', degraded: true })
  })
  const { usage, choices } = (await chat(app, user('Hi'))).json()
  t.match(usage.energy, { joules: null, joules_reason: 'no sensor', degraded: true })
  t.equal(choices[0].finish_reason, 'length')
})

t.test('chat: requests as clients send them', async (t) => {
  const { app, asked } = fake(t)
  const conversation = (at: number) => {
    const { input } = asked[at]
    return 'messages' in input ? input.messages : []
  }
  await chat(app, {
    messages: [
      { role: 'developer', content: 'Be kind.' },
      {
        role: 'system',
        content: [
          { type: 'text', text: 'Be ' },
          { type: 'text', text: 'short.' },
        ],
      },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function' }] },
      { role: 'tool', content: '42', tool_call_id: 'a' },
      { role: 'system', content: 'And true.' },
    ],
    max_tokens: 9,
    max_completion_tokens: 5,
    stop: 'END',
    seed: 7,
    temperature: null,
    top_p: 0.9,
    presence_penalty: 0.5,
    frequency_penalty: -0.5,
    tools: [{ type: 'function', function: { name: 'f' } }],
    tool_choice: 'auto',
    response_format: { type: 'text' },
    logit_bias: { 17: -100 },
    min_p: 0.05,
    top_k: 30,
    repeat_penalty: 1.2,
    n_predict: 7,
    n: 1,
    user: 'me',
    some_future_field: { a: 1 },
    energy: 'eco',
  })
  t.same(conversation(0), [
    { role: 'system', content: 'Be kind.\n\nBe short.' },
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Tool calls: [{"id":"a","type":"function"}]' },
    { role: 'user', content: 'Tool result: 42\n\nAnd true.' },
  ])
  t.match(asked[0], {
    policy: 'eco',
    client: 'user me',
    sampling: {
      maxTokens: 5,
      temperature: 0,
      topP: 0.9,
      seed: 7,
      stop: ['END'],
      presencePenalty: 0.5,
      frequencyPenalty: -0.5,
      logitBias: [[17, -100]],
      minP: 0.05,
      topK: 30,
      repeatPenalty: 1.2,
      repeatLastN: 64,
      topLogprobs: null,
    },
  })
  await chat(app, { ...user('x'), model: 'support-s:latest', energy: { level: 1, max_joules: 20 }, stop: ['a', 'b'] })
  t.match(asked[1], { policy: 'eco', level: 1, maxJoules: 20, sampling: { stop: ['a', 'b'] } })
  await chat(app, { ...user('x'), energy: { policy: 'exact', level: 3 } })
  t.match(asked[2], { policy: 'exact', level: 3 })
})

const refused: readonly [string, object, Record<string, unknown>][] = [
  ['no messages', { messages: [] }, { param: 'messages' }],
  ['two choices', { ...user('x'), n: 2 }, { param: 'n', code: 'unsupported' }],
  ['audio', { ...user('x'), modalities: ['text', 'audio'] }, { param: 'modalities' }],
  ['an image', user([{ type: 'image_url', image_url: { url: 'x' } }]), { param: 'messages.0.content.0' }],
  ['a bias for a word', { ...user('x'), logit_bias: { the: 1 } }, { code: 'bad_request' }],
  ['json', { ...user('x'), response_format: { type: 'json_object' } }, { param: 'response_format' }],
  ['a schema', { ...user('x'), response_format: { type: 'json_schema' } }, { param: 'response_format' }],
  ['a forced tool', { ...user('x'), tool_choice: 'required' }, { param: 'tool_choice' }],
  ['a named tool', { ...user('x'), tool_choice: { type: 'function' } }, { param: 'tool_choice' }],
  ['five stops', { ...user('x'), stop: ['1', '2', '3', '4', '5'] }, { param: 'stop' }],
  ['a hot temperature', { ...user('x'), temperature: 'hot' }, { param: 'temperature', code: 'bad_request' }],
  ['too many logprobs', { ...user('x'), logprobs: true, top_logprobs: 21 }, { param: 'top_logprobs' }],
  ['top_logprobs alone', { ...user('x'), top_logprobs: 2 }, { param: 'top_logprobs' }],
  ['an unknown policy', { ...user('x'), energy: 'lavish' }, { param: 'energy' }],
  ['an unknown level', { ...user('x'), energy: { level: 9 } }, { param: 'energy.level', code: 'level_unknown' }],
  ['exact at a low level', { ...user('x'), energy: { policy: 'exact', level: 0 } }, { param: 'energy.level' }],
  ['an unknown role', { messages: [{ role: 'boss', content: 'x' }] }, { param: 'messages.0.role' }],
]

t.test('chat: what cannot be honoured is refused with its field, before anything runs', async (t) => {
  const { app, asked } = fake(t)
  for (const [name, body, expected] of refused) {
    const reply = await chat(app, body)
    t.equal(reply.statusCode, 400, name)
    t.match(reply.json().error, { type: 'invalid_request_error', message: String, ...expected }, name)
  }
  const foreign = await chat(app, { ...user('x'), model: 'gpt-4' })
  t.equal(foreign.statusCode, 404)
  t.match(foreign.json().error, { code: 'model_not_found', type: 'not_found_error', param: 'model' })
  t.equal(asked.length, 0)
})

t.test('chat: logprobs', async (t) => {
  const { app, asked } = fake(t)
  const { choices } = (await chat(app, { ...user('x'), logprobs: true, top_logprobs: 1 })).json()
  t.equal(asked[0].sampling.topLogprobs, 1)
  t.equal(choices[0].logprobs.content.length, 3)
  t.match(choices[0].logprobs.content[0], {
    token: 'Hel',
    logprob: -0.1,
    bytes: [72, 101, 108],
    top_logprobs: [{ token: 'Hel' }],
  })
})

t.test('stream: role, text, finish, usage, [DONE], under one id', async (t) => {
  const { app } = fake(t, says('Hel', '', 'lo'))
  const reply = await chat(app, { ...user('Hi'), stream: true, stream_options: { include_usage: true } })
  t.match(reply.headers, {
    'content-type': /^text\/event-stream/,
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    'x-request-id': /^req_/,
  })
  const chunks = dataOf(reply.body)
  t.equal(chunks.pop(), '[DONE]')
  t.same(
    chunks.map((chunk) => chunk.choices.map((choice: { delta: object }) => choice.delta)),
    [[{ role: 'assistant', content: '' }], [{ content: 'Hel' }], [{ content: 'lo' }], [{}], []],
  )
  t.same(
    chunks.map((chunk) => chunk.choices[0]?.finish_reason),
    [null, null, null, 'stop', undefined],
  )
  t.equal(new Set(chunks.map(({ id, created, object }) => `${id} ${created} ${object}`)).size, 1)
  t.same(
    chunks.map((chunk) => chunk.usage?.total_tokens ?? chunk.usage),
    [null, null, null, null, 23],
  )
  const plain = dataOf((await chat(app, { ...user('Hi'), stream: true })).body)
  t.notOk(plain.some((chunk) => chunk.usage !== undefined))
})

t.test(
  'stream: a refusal before the first token is a status, a fault after it is an event without [DONE]',
  async (t) => {
    const early = fake(t, fails(new DeapdError('queue_full', { waiting: 8 })))
    const reply = await chat(early.app, { ...user('Hi'), stream: true })
    t.equal(reply.statusCode, 503)
    t.match(reply.headers, { 'retry-after': '5', 'content-type': /json/ })

    const late = fake(t, fails(new DeapdError('engine_lost', { detail: 'killed' }), 'Hel'))
    const broken = dataOf((await chat(late.app, { ...user('Hi'), stream: true })).body)
    t.match(broken.at(-1), { error: { code: 'engine_lost', type: 'api_error', message: /stopped in the middle/ } })
    t.notOk(broken.includes('[DONE]'))

    const endless = fake(t, async function* () {
      yield { type: 'started', promptTokens: 1 }
    })
    t.equal((await chat(endless.app, user('x'))).statusCode, 502, 'an answer without an end is no answer')
  },
)

t.test('stream: headers and the role arrive before the prompt is processed; quiet times are pinged', async (t) => {
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const { app } = fake(
    t,
    async function* (request) {
      yield { type: 'started', promptTokens: 20 }
      await gate
      yield doneOf(request.id, 0)
    },
    { timing: { pingMs: 20 } },
  )
  const url = await listen(app)
  const body = JSON.stringify({ ...user('Hi'), stream: true })
  const reply = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body })
  let text = ''
  for await (const piece of reply.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(piece)
    if (text.includes(': ping\n\n')) release()
  }
  t.match(text, /^data: .*"role":"assistant".*\n\n: ping\n\n/)
  t.match(text, /\[DONE\]\n\n$/)
})

t.test('stream: a client that goes aborts the engine, in a stream and while waiting', async (t) => {
  for (const stream of [true, false]) {
    const seen: { signal?: AbortSignal } = {}
    const { app } = fake(t, saysThenWaits(['Hel'], seen))
    const url = await listen(app)
    const gone = new AbortController()
    const body = JSON.stringify({ ...user('Hi'), stream })
    const asking = fetch(`${url}/v1/chat/completions`, { method: 'POST', body, signal: gone.signal })
    const started = async () => {
      while (seen.signal === undefined) await new Promise(setImmediate)
      return seen.signal
    }
    const signal = await started()
    if (stream) await (await asking).body?.getReader().read()
    gone.abort()
    await asking.catch(() => undefined)
    if (!signal.aborted) await once(signal, 'abort')
    t.equal(signal.reason.name, 'ClientGone', `stream ${stream}`)
  }
})

t.test('stream: a slow reader holds the engine back', async (t) => {
  let produced = 0
  const piece = 'x'.repeat(64 * 1024)
  const { app } = fake(t, async function* (request, signal) {
    yield { type: 'started', promptTokens: 1 }
    while (!signal.aborted && produced < 2000) {
      produced += 1
      yield tokenOf(request.id, piece, 0)
    }
  })
  const url = await listen(app)
  const body = JSON.stringify({ ...user('Hi'), stream: true })
  const request = httpRequest(`${url}/v1/chat/completions`, { method: 'POST' })
  request.on('error', () => undefined).end(body)
  const [response] = await once(request, 'response')
  response.pause()
  let before = -1
  while (produced !== before) {
    before = produced
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  t.ok(produced < 500, `${produced} pieces of 64 KiB, not 2000`)
  response.destroy()
})

t.test('close: ends telemetry streams at once and tells running answers why', async (t) => {
  const { app, listeners } = fake(t, saysThenWaits(['Hel']), { timing: { drainMs: 20 } })
  const url = await listen(app)
  const body = JSON.stringify({ ...user('Hi'), stream: true })
  const power = await fetch(`${url}/v1/power/stream`)
  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body })
  const closed = app.close()
  t.match(await power.text(), /^retry: 2000\n\ndata: \{/)
  const chunks = dataOf(await answer.text())
  t.match(chunks.at(-1), { error: { code: 'shutting_down' } })
  await closed
  t.equal(listeners.size, 0)
})

t.test('completions', async (t) => {
  const { app, asked } = fake(t)
  const reply = await post(app, '/v1/completions', { model: 'support-s', prompt: 'Once', logprobs: 1 })
  t.match(reply.json(), {
    id: /^cmpl-/,
    object: 'text_completion',
    choices: [{ text: 'Hello there', index: 0, finish_reason: 'stop' }],
    usage: { total_tokens: 23, energy: { joules: 4.5 } },
  })
  t.same(reply.json().choices[0].logprobs.text_offset, [0, 3, 5])
  t.match(asked[0], { input: { prompt: 'Once' }, sampling: { maxTokens: 16 } })
  await post(app, '/v1/completions', { prompt: [1, 5, 9], max_tokens: 4 })
  t.match(asked[1], { input: { ids: [1, 5, 9] }, sampling: { maxTokens: 4 } })
  const chunks = dataOf((await post(app, '/v1/completions', { prompt: ['Once'], stream: true })).body)
  t.equal(chunks.pop(), '[DONE]')
  t.same(
    chunks.map((chunk) => [chunk.choices[0].text, chunk.choices[0].finish_reason]),
    [
      ['Hel', null],
      ['lo', null],
      [' there', null],
      ['', 'stop'],
    ],
  )
  for (const [param, value] of Object.entries({ suffix: 'x', echo: true, best_of: 2, prompt: ['a', 'b'] })) {
    const refusal = await post(app, '/v1/completions', { prompt: 'Once', [param]: value })
    t.equal(refusal.statusCode, 400)
    t.match(refusal.json().error, { param, code: 'unsupported' })
  }
})

t.test('models', async (t) => {
  const { app } = fake(t)
  const { data } = (await app.inject('/v1/models')).json()
  t.match(data, [{ id: 'support-s', object: 'model', created: 1_795_161_600, owned_by: 'deapd' }])
  t.strictSame((await app.inject('/v1/models/')).json().data, data, 'a slash at the end changes nothing')
  for (const id of ['support-s', 'support-s:latest', 'support-s%3Alatest']) {
    t.equal((await app.inject(`/v1/models/${id}`)).json().id, 'support-s')
  }
  t.equal((await app.inject('/v1/models/meta/llama')).statusCode, 404)
  t.match((await post(app, '/v1/embeddings', { input: 'x' })).json().error, { message: /no embedding model/ })
})

t.test('every row of the error table makes a valid reply on both wires', async (t) => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const { app } = fake(t, fails(new DeapdError(code, { model: 'm' })))
    const openai = await chat(app, user('x'))
    t.equal(openai.statusCode, errorTable[code].status, code)
    t.match(openai.json().error, { message: /./, type: /_error$/, code }, code)
    t.ok('param' in openai.json().error)
    if ([429, 503].includes(openai.statusCode)) t.ok(Number(openai.headers['retry-after']) > 0, code)
    if (openai.statusCode === 500) t.equal(openai.headers['x-should-retry'], 'false', code)
    const ollama = await post(app, '/api/chat', { model: 'support-s', ...user('x') })
    t.equal(ollama.statusCode, errorTable[code].status, code)
    t.match(ollama.headers['content-type'], /^application\/json/)
    t.type(ollama.json().error, 'string', code)
  }
  const { app } = fake(t, fails(new TypeError('secret inside')))
  const unforeseen = await chat(app, user('x'))
  t.equal(unforeseen.statusCode, 500)
  t.notMatch(unforeseen.body, /secret|\.ts/)
})

t.test('malformed, oversized and unknown', async (t) => {
  const { app } = fake(t)
  const raw = (payload: string, type = 'application/json') =>
    app.inject({ method: 'POST', url: '/v1/chat/completions', headers: { 'content-type': type }, payload })
  const torn = await raw('{"messages":[')
  t.equal(torn.statusCode, 400)
  t.match(torn.json().error, { code: 'bad_request', type: 'invalid_request_error' })
  t.equal((await raw('')).statusCode, 400)
  t.equal((await raw('[]')).statusCode, 400)
  t.equal((await raw(JSON.stringify(user('x')), 'application/x-www-form-urlencoded')).statusCode, 200, 'curl -d')
  const large = await raw(JSON.stringify(user('x'.repeat(30_000))))
  t.equal(large.statusCode, 413)
  t.match(large.json().error, { code: 'body_too_large', message: /20000 bytes/ })
  const missing = await app.inject('/v1/nowhere?x=1')
  t.equal(missing.statusCode, 404)
  t.match(missing.json().error, { message: /There is no GET \/v1\/nowhere here/, code: 'not_found' })
  t.match((await app.inject('/api/nowhere')).json(), { error: /no GET \/api\/nowhere/ })
  const noPath = await app.inject('/v1/%zz')
  t.equal(noPath.statusCode, 400)
  t.match(noPath.json().error, { code: 'bad_request', type: 'invalid_request_error' })
  t.ok(noPath.headers['x-request-id'])
  const said = async (more: object) => (await raw(JSON.stringify({ ...user('x'), ...more }))).json().error.message
  t.match(await said({ stop: ['a', 'b', 'c', 'd', 'e'] }), /stop must not have more than 4 items/)
  t.match(await said({ energy: 'turbo' }), /energy must be one of exact, balanced, eco/)
  t.match(await said({ messages: [{ role: 'alien', content: 'x' }] }), /role must be one of system, developer, user/)
  t.match(await said({ messages: [{ content: 'x' }] }), /messages\.0 needs role/)
})

t.test('security: Host and Origin', async (t) => {
  const { app } = fake(t)
  const get = (headers: Record<string, string>) => app.inject({ url: '/v1/models', headers })
  for (const host of ['127.0.0.1:8717', 'localhost', '[::1]:8717', 'LOCALHOST.:8717', 'board.local:80']) {
    t.equal((await get({ host })).statusCode, 200, host)
  }
  for (const host of ['evil.example', 'localhost.evil.example:8717', '127.0.0.1.nip.io', '192.168.0.9']) {
    const reply = await get({ host })
    t.equal(reply.statusCode, 403, host)
    t.equal(reply.json().error.code, 'foreign_host')
  }
  t.equal((await get({ host: '127.0.0.1:8717', origin: 'http://127.0.0.1:8717' })).statusCode, 200)
  const allowed = await get({ host: 'localhost', origin: 'http://shop.example' })
  t.equal(allowed.headers['access-control-allow-origin'], 'http://shop.example')
  for (const origin of ['https://evil.example', 'null', 'http://localhost:3000', 'file://']) {
    const reply = await get({ host: 'localhost:8717', origin })
    t.equal(reply.statusCode, 403, origin)
    t.notOk(reply.headers['access-control-allow-origin'])
  }
  const preflight = (origin: string) =>
    app.inject({
      method: 'OPTIONS',
      url: '/v1/chat/completions',
      headers: { host: 'localhost', origin, 'access-control-request-method': 'POST' },
    })
  const ok = await preflight('http://shop.example')
  t.equal(ok.statusCode, 204)
  for (const header of ['authorization', 'content-type', 'x-stainless-retry-count', 'x-stainless-helper-method']) {
    t.ok(String(ok.headers['access-control-allow-headers']).split(', ').includes(header), header)
  }
  t.equal((await preflight('https://evil.example')).statusCode, 403)
})

t.test('ollama: chat and generate', async (t) => {
  const { app, asked } = fake(t)
  const lines = (body: string) =>
    body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  const streamed = await post(app, '/api/chat', { model: 'support-s', ...user('Hi'), keep_alive: '5m', think: false })
  t.equal(streamed.headers['content-type'], 'application/x-ndjson')
  const all = lines(streamed.body)
  t.same(
    all.map((line) => [line.message.content, line.done]),
    [
      ['Hel', false],
      ['lo', false],
      [' there', false],
      ['', true],
    ],
  )
  const last = all.at(-1)
  t.match(last, { done_reason: 'stop', prompt_eval_count: 20, eval_count: 3, energy: { joules: 4.5 } })
  const durations = [last.load_duration, last.prompt_eval_duration, last.eval_duration]
  for (const ns of [...durations, last.total_duration]) t.ok(Number.isInteger(ns) && ns > 0)
  t.ok(durations[0] + durations[1] + durations[2] <= last.total_duration)

  const whole = await post(app, '/api/generate', {
    model: 'support-s:latest',
    prompt: 'Hi',
    system: 'Be kind.',
    stream: false,
    options: {
      num_ctx: 8192,
      num_predict: -1,
      seed: -1,
      top_k: 40,
      top_p: 0.8,
      min_p: 0.1,
      repeat_penalty: 1.1,
      repeat_last_n: -1,
      presence_penalty: 0.2,
      frequency_penalty: 0.3,
      stop: ['A'],
      mirostat: 2,
    },
  })
  t.match(whole.json(), { model: 'support-s:latest', response: 'Hello there', done: true, done_reason: 'stop' })
  t.same(asked[1].input, {
    messages: [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Hi' },
    ],
  })
  t.match(asked[1].sampling, {
    maxTokens: null,
    seed: null,
    topK: 40,
    topP: 0.8,
    minP: 0.1,
    repeatPenalty: 1.1,
    repeatLastN: -1,
    presencePenalty: 0.2,
    frequencyPenalty: 0.3,
    stop: ['A'],
  })
  t.match(asked[1].client, /^address /)
  await post(app, '/api/generate', { model: 'support-s', prompt: 'Hi', raw: true, options: { num_predict: 4 } })
  t.match(asked[2], { input: { prompt: 'Hi' }, sampling: { maxTokens: 4 } })

  for (const [keepAlive, reason] of [
    [undefined, 'load'],
    [-1, 'load'],
    ['-1', 'load'],
    ['5m', 'load'],
    [0, 'unload'],
    ['0s', 'unload'],
  ]) {
    const reply = await post(app, '/api/chat', { model: 'support-s', messages: [], keep_alive: keepAlive })
    t.match(lines(reply.body), [{ done: true, done_reason: reason }], String(keepAlive))
  }
  t.equal(asked.length, 3, 'loading runs nothing')

  const schema = await post(app, '/api/chat', { model: 'support-s', ...user('x'), format: { type: 'object' } })
  t.equal(schema.statusCode, 400)
  t.match(schema.json(), { error: /format.*not supported/ })
  const foreign = await post(app, '/api/chat', { model: 'llama3', ...user('x') })
  t.equal(foreign.statusCode, 404)
  t.strictSame(foreign.json(), { error: 'model "llama3" not found, try pulling it first' }, 'word for word')
  const late = fake(t, fails(new DeapdError('engine_lost', { detail: 'killed' }), 'Hel'))
  const broken = lines((await post(late.app, '/api/chat', { model: 'support-s', ...user('x') })).body)
  t.match(broken.at(-1), { error: /stopped in the middle/ })
})

t.test('ollama: what clients ask at their start', async (t) => {
  const { app } = fake(t)
  for (const method of ['GET', 'HEAD'] as const) {
    t.equal((await app.inject({ method, url: '/' })).statusCode, 200)
    t.equal((await app.inject({ method, url: '/api/version' })).statusCode, 200)
    t.equal((await app.inject({ method, url: '/api/tags' })).statusCode, 200)
  }
  t.equal((await app.inject('/')).body, 'Ollama is running')
  const browser = await app.inject({ url: '/', headers: { accept: 'text/html,*/*' } })
  t.equal(browser.headers.location, '/ui')
  t.same((await app.inject('/api/version')).json(), { version: '0.1.0' })
  const listed = {
    name: 'support-s:latest',
    model: 'support-s:latest',
    size: 1_500_000,
    digest: 'ab'.repeat(32),
    details: { family: 'llama', families: ['llama'], parameter_size: '1.0M', quantization_level: 'INT4' },
  }
  t.match((await app.inject('/api/tags')).json().models, [{ ...listed, modified_at: '2026-11-20T08:00:00.000+00:00' }])
  const [running] = (await app.inject('/api/ps')).json().models
  t.match(running, { ...listed, size_vram: 0, context_length: 512 })
  t.match(running.expires_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/)
  const show = (await post(app, '/api/show', { name: 'support-s' })).json()
  t.match(show, { model_info: { 'llama.context_length': 512 }, capabilities: ['completion'], template: /Prompt/ })
  for (const line of show.parameters.split('\n')) t.match(line, /^\w+ +\S+$/)
  const pulled = await post(app, '/api/pull', { model: 'support-s' })
  t.match(pulled.body.trim().split('\n').at(-1), '{"status":"success"}')
  t.equal((await post(app, '/api/pull', { model: 'llama3' })).statusCode, 404)
  for (const url of ['/api/push', '/api/create', '/api/copy', '/api/embed']) {
    const reply = await post(app, url, { model: 'support-s' })
    t.equal(reply.statusCode, 501)
    t.type(reply.json().error, 'string')
  }
})

t.test('a point held by hand', async (t) => {
  const { app } = fake(t)
  const put = (payload: object) =>
    app.inject({
      method: 'PUT',
      url: '/v1/power/hold',
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify(payload),
    })
  const free = {
    gpu_hz: null,
    level: null,
    source: 'none',
    lease_until: null,
    gpu_points_hz: [306e6, 510e6],
    levels: 4,
  }
  t.same((await app.inject('/v1/power/hold')).json(), free)
  const held = { gpu_hz: 510e6, level: 2, source: 'cli', lease_until: '2026-11-23T10:15:00.000Z' }
  t.match((await put({ gpu_mhz: 510, level: 2, lease_s: 900, source: 'cli' })).json(), held)
  for (const order of [
    {},
    { gpu_mhz: 511 },
    { gpu_mhz: 'x' },
    { level: 4 },
    { level: 0.5 },
    { level: -1, gpu_mhz: 306 },
  ]) {
    const reply = await put(order)
    t.match([reply.statusCode, reply.json()], [400, { error: { code: 'hold_invalid' } }], JSON.stringify(order))
  }
  t.match((await put({ level: 1, lease_s: -1 })).json(), { error: { code: 'lease_invalid' } })
  t.match((await app.inject('/v1/power/hold')).json(), held, 'a refused order changes nothing')
  t.same((await app.inject({ method: 'DELETE', url: '/v1/power/hold' })).json(), free)
})

t.test('power, budget and energy windows', async (t) => {
  const { app } = fake(t)
  t.match((await app.inject('/v1/power')).json(), {
    power: { total_watts: 31.25, rail_watts: { VDD_GPU_SOC: 18.5 } },
    thermal: { tj_celsius: null, tj_celsius_reason: /no thermal zone/ },
  })
  const put = (payload: unknown) =>
    app.inject({ method: 'PUT', url: '/v1/power/budget', payload: JSON.stringify(payload) })
  t.match((await put({ watts: 32, lease_s: 900 })).json(), {
    watts: 32,
    source: 'http',
    lease_until: '2026-11-23T10:15:00.000Z',
    min_watts: 12,
    max_watts: 60,
    configured_watts: 50,
  })
  for (const watts of [-5, 'abc', null, undefined, 1e9]) {
    const reply = await put({ watts })
    t.equal(reply.statusCode, 400, String(watts))
    t.match(reply.json().error, { code: 'budget_invalid' })
  }
  t.equal((await put({ watts: 30, lease_s: 'soon' })).json().error.code, 'lease_invalid')
  t.equal((await put([])).statusCode, 400)
  t.match((await app.inject('/v1/power/budget')).json(), { watts: 32 })

  t.same((await app.inject('/v1/power/blackbox')).json(), { previous: null, current: null })
  const opened = await app.inject({ method: 'POST', url: '/v1/energy/windows/job' })
  t.equal(opened.statusCode, 201)
  t.match((await app.inject('/v1/energy/windows')).json().windows, [{ name: 'job', ended_at: null }])
  const named = await post(app, '/v1/energy/windows', { name: 'other' })
  t.match([named.statusCode, named.json().name], [201, 'other'])
  t.equal((await post(app, '/v1/energy/windows', {})).statusCode, 400)
  const closed = await app.inject({ method: 'DELETE', url: '/v1/energy/windows/job' })
  t.match(closed.json(), { name: 'job', joules: 12.5, ended_at: snapshot.ts })
  t.equal((await app.inject({ method: 'DELETE', url: '/v1/energy/windows/job' })).statusCode, 404)
})

t.test('power stream: about twice a second, whatever the loop does', async (t) => {
  const { app, push } = fake(t)
  const url = await listen(app)
  const reply = await fetch(`${url}/v1/power/stream`)
  const reader = (reply.body as ReadableStream<Uint8Array>).getReader()
  const start = monotonicMs() + 1000
  for (let tick = 0; tick <= 20; tick += 1) push({ monoMs: start + tick * 100 })
  let text = ''
  while (dataOf(text).length < 6) text += Buffer.from((await reader.read()).value ?? [])
  t.equal(dataOf(text).length, 6, 'the first, and five of 21 ticks in 2 s')
  await reader.cancel()
})

t.test('health, readiness, metrics', async (t) => {
  const { app, push } = fake(t)
  t.equal((await app.inject('/healthz')).json().status, 'ok')
  t.match((await app.inject('/readyz')).json(), { status: 'ready', engine: { state: 'ready', pid: 4242 } })
  push({ engine: { ...snapshot.engine, state: 'starting', pid: null, pidReason: 'not started' } })
  const starting = await app.inject('/readyz')
  t.equal(starting.statusCode, 503)
  t.match(starting.json(), { status: 'starting', engine: { pid: null, pid_reason: 'not started' } })
  t.equal((await app.inject('/healthz')).statusCode, 200)
  t.same((await app.inject('/api/ps')).json(), { models: [] })
  push({ monoMs: monotonicMs() - 60_000 })
  t.equal((await app.inject('/healthz')).statusCode, 503)
  const metrics = await app.inject('/metrics')
  t.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/)
  t.match(metrics.body, /^deapd_power_total_watts 31\.25$/m)
})

t.test('the page is whole, local and says what model it talks to', async (t) => {
  const { app } = fake(t)
  const html = (await app.inject('/ui')).body
  const used = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map((match) => match[1])
  t.ok(used.length > 0)
  for (const url of [...used, '/ui/board.js', '/ui/chat.js', '/ui/chart.js']) {
    t.match(url, /^\/ui/, 'nothing from elsewhere')
    const reply = await app.inject(url)
    t.equal(reply.statusCode, 200, url)
    for (const match of reply.body.matchAll(/from '([^']+)'/g)) {
      t.equal((await app.inject(match[1])).statusCode, 200, match[1])
    }
  }
  for (const file of ['board.js', 'chat.js']) {
    for (const match of (await app.inject(`/ui/${file}`)).body.matchAll(/(?:element|show|known)\('([a-z-]+)'/g)) {
      t.match(html, `id="${match[1]}"`, `${file} uses #${match[1]}`)
    }
  }
  t.same((await app.inject('/ui/model.json')).json(), {
    id: 'support-s',
    name: 'Support S',
    description: 'Answers questions about orders.',
    default_system_prompt: 'Returns within 30 days.',
    sample_questions: ['Where is order 17?', 'May I return it?'],
    context_tokens: 512,
    levels: [0.4, 0.6, 0.8, 1].map((share, level) => ({ level, share })),
  })
})

t.test('the openai client', async (t) => {
  const { app } = fake(t)
  const client = new OpenAI({ baseURL: `${await listen(app)}/v1`, apiKey: 'none', maxRetries: 0 })
  const messages = [{ role: 'user', content: 'Hi' } as const]
  const whole = await client.chat.completions.create({ model: 'support-s', messages })
  t.equal(whole.choices[0].message.content, 'Hello there')
  const stream = await client.chat.completions.create({ model: 'support-s', messages, stream: true })
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  t.equal(text, 'Hello there')
  const helper = client.chat.completions.stream({
    model: 'support-s',
    messages,
    stream_options: { include_usage: true },
  })
  t.equal(await helper.finalContent(), 'Hello there')
  t.equal((await helper.totalUsage()).total_tokens, 23)
  t.equal((await client.models.list()).data[0].id, 'support-s')
  t.equal((await client.models.retrieve('support-s')).id, 'support-s')
  await t.rejects(client.embeddings.create({ model: 'support-s', input: 'x' }), { status: 404, code: 'not_found' })
  await t.rejects(client.chat.completions.create({ model: 'gpt-4', messages }), { code: 'model_not_found' })
  const broken = fake(t, fails(new DeapdError('engine_lost', { detail: 'killed' }), 'Hel'))
  const other = new OpenAI({ baseURL: `${await listen(broken.app)}/v1`, apiKey: 'none', maxRetries: 0 })
  const torn = await other.chat.completions.create({ model: 'support-s', messages, stream: true })
  await t.rejects(
    (async () => {
      for await (const _ of torn);
    })(),
    { code: 'engine_lost' },
  )
})

t.test('the ollama client', async (t) => {
  const { app } = fake(t)
  const client = new Ollama({ host: await listen(app) })
  const messages = [{ role: 'user', content: 'Hi' }]
  t.match(await client.chat({ model: 'support-s', messages }), { message: { content: 'Hello there' }, done: true })
  let text = ''
  for await (const part of await client.chat({ model: 'support-s', messages, stream: true })) {
    text += part.message.content
  }
  t.equal(text, 'Hello there')
  t.equal((await client.generate({ model: 'support-s', prompt: 'Hi' })).response, 'Hello there')
  t.equal((await client.list()).models[0].name, 'support-s:latest')
  t.equal((await client.show({ model: 'support-s' })).details.family, 'llama')
  t.equal((await client.ps()).models.length, 1)
  t.equal((await client.pull({ model: 'support-s' })).status, 'success')
  await t.rejects(client.chat({ model: 'llama3', messages }), /not found, try pulling/)

  const seen: { signal?: AbortSignal } = {}
  const waiting = fake(t, saysThenWaits(['Hel'], seen))
  const other = new Ollama({ host: await listen(waiting.app) })
  const stream = await other.chat({ model: 'support-s', messages, stream: true })
  await t.rejects(
    (async () => {
      for await (const _ of stream) stream.abort()
    })(),
    { name: 'AbortError' },
  )
  if (!seen.signal?.aborted) await once(seen.signal as AbortSignal, 'abort')
  t.ok(seen.signal?.aborted)
})
