import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { calibrateKv } from '../src/engine/calibrate.ts'
import { createAgreements } from '../src/engine/drafts/agreement.ts'
import { createDraftPolicy } from '../src/engine/drafts/policy.ts'
import { createProposer, type Draft } from '../src/engine/drafts/propose.ts'
import type { Loaded } from '../src/engine/generation.ts'
import { openModel } from '../src/engine/model.ts'
import { loadOrt } from '../src/engine/ort/api.ts'
import { createPenalties } from '../src/engine/penalties.ts'
import {
  type FromEngine,
  type GenerateRequest,
  greedy as plainGreedy,
  type Sampling,
  type StepEvent,
} from '../src/engine/protocol.ts'
import { createSampler } from '../src/engine/sampler.ts'
import { createScheduler, type SchedulerOptions } from '../src/engine/scheduler.ts'
import { admitContext } from '../src/engine/scheduling/memory.ts'
import { type Candidate, plan } from '../src/engine/scheduling/plan.ts'
import { createFairQueue } from '../src/engine/scheduling/queue.ts'
import { assign, reusable, type Slot } from '../src/engine/scheduling/slots.ts'
import { above, largest } from '../src/engine/select.ts'
import { openTemplate } from '../src/engine/template.ts'
import { openTokenizer } from '../src/engine/tokenizer.ts'
import { DeapdError } from '../src/errors.ts'
import { importModel } from '../src/models/import.ts'
import { openPackage } from '../src/models/package.ts'

const bundled = fileURLToPath(new URL('../models/support-s', import.meta.url))
const checkpoint = fileURLToPath(new URL('../models/support/checkpoint', import.meta.url))
const ort = loadOrt()
const full = openPackage(bundled).manifest.levels.length - 1

const greedy: Sampling = { ...plainGreedy, maxTokens: 8, repeatLastN: 64 }

type Done = Extract<FromEngine, { type: 'done' }>

/** A scheduler over the bundled model in this process, and everything it said. */
function serving(t: Test, over: Partial<SchedulerOptions> & { dir?: string } = {}) {
  const { dir = bundled } = over
  const { manifest } = openPackage(dir)
  const model = openModel(ort, dir, manifest, 1)
  t.teardown(() => model.close())
  const tokenizer = openTokenizer(dir)
  const loaded: Loaded = { model, tokenizer, encodeChat: openTemplate(dir, manifest, tokenizer) }
  const ids = new Map<string, number[]>()
  const texts = new Map<string, string>()
  const done = new Map<string, Done>()
  const steps: StepEvent[] = []
  const ended: string[] = []
  const failed: Extract<FromEngine, { type: 'failed' }>[] = []
  let settle = () => {}
  const scheduler = createScheduler(loaded, {
    maxSequences: 4,
    maxQueued: 10_000,
    drafts: 'off',
    requireRoom: () => undefined,
    ...over,
    send(message) {
      if (message.type === 'step') steps.push(message)
      if (message.type === 'token') {
        ids.set(message.id, [...(ids.get(message.id) ?? []), message.tokenId])
        texts.set(message.id, (texts.get(message.id) ?? '') + message.text)
      }
      if (message.type === 'failed') failed.push(message)
      if (message.type === 'done') done.set(message.id, message)
      if (message.type !== 'done' && message.type !== 'failed') return
      ended.push(String(message.id))
      settle()
    },
  })
  /** Resolves when so many requests have ended since the start. */
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      settle = () => ended.length >= count && resolve()
      settle()
    })
  const ask = async (...requests: readonly GenerateRequest[]): Promise<void> => {
    const before = ended.length
    for (const request of requests) scheduler.submit(request)
    await until(before + requests.length)
  }
  return { scheduler, model, ids, texts, done, steps, ended, failed, until, ask }
}

const request = (id: string, over: Partial<GenerateRequest> = {}): GenerateRequest => ({
  id,
  input: { ids: [1, 20, 30, 40] },
  sampling: greedy,
  policy: 'exact',
  level: null,
  maxJoules: null,
  ...over,
})
const chat = (id: string, text: string, over: Partial<GenerateRequest> = {}): GenerateRequest =>
  request(id, { input: { messages: [{ role: 'user', content: text }] }, ...over })

t.test('plan: lanes take turns, prompts in order of arrival, and levels that are free join the highest', async (t) => {
  const job = (name: string, over: Partial<Candidate>) => ({
    ...{ name, phase: 'decode' as const, level: 3, pinned: false, alone: false, lastRun: 0, arrival: 0 },
    ...over,
  })
  const names = (next: ReturnType<typeof plan<ReturnType<typeof job>>>) =>
    next === null ? null : next.phase === 'prefill' ? next.job.name : next.jobs.map(({ name }) => name)
  t.equal(plan([], 0), null)
  const prompts = [job('b', { phase: 'prefill', arrival: 2 }), job('a', { phase: 'prefill', arrival: 1 })]
  t.same(names(plan(prompts, 9)), 'a')
  t.same(names(plan([...prompts, job('c', { lastRun: 5 })], 4)), 'a', 'the prompts have waited longer')
  t.same(names(plan([...prompts, job('c', { lastRun: 5 })], 6)), ['c'])
  const mixed = [job('exact', {}), job('eco', { level: 0 }), job('pinned', { level: 1, pinned: true, lastRun: 1 })]
  t.match(plan(mixed, 0), { level: 3 })
  t.same(names(plan(mixed, 0)), ['exact', 'eco'], 'carried along at the level that runs anyway')
  t.same(names(plan([job('eco', { level: 0 }), job('pinned', { level: 0, pinned: true })], 0)), ['eco', 'pinned'])
  const mending = [job('several', { level: 4, alone: true }), job('eco', { level: 0, lastRun: 1 })]
  t.same(names(plan(mending, 0)), ['several'], 'a run of several tokens is nobody else’s')
  t.match(plan([mending[1]], 0), { level: 0 }, 'and nobody rises for it')
})

/** Prompts, the free answers, and one lane for each of four levels that are named; and a lane that forms anew. */
const mostLanes = 7

t.test('plan: nobody starves', async (t) => {
  const candidate = fc.record({
    phase: fc.constantFrom('prefill' as const, 'decode' as const),
    level: fc.integer({ min: 0, max: 3 }),
    pinned: fc.boolean(),
    alone: fc.boolean(),
    tokens: fc.integer({ min: 1, max: 6 }),
  })
  const property = fc.property(fc.array(candidate, { minLength: 1, maxLength: 6 }), (list) => {
    let jobs = list.map((job, arrival) => ({ ...job, arrival, lastRun: 0 }))
    let lastPrefill = 0
    for (let run = 1; jobs.length > 0; run++) {
      const next = plan(jobs, lastPrefill)
      if (next === null) throw new Error('stopped with work left')
      const running = next.phase === 'prefill' ? [next.job] : next.jobs
      if (next.phase === 'prefill') lastPrefill = run
      for (const job of running) {
        job.lastRun = run
        if (--job.tokens > 0) continue
        if (job.phase === 'prefill') Object.assign(job, { phase: 'decode', tokens: 2 })
        else jobs = jobs.filter((other) => other !== job)
      }
      for (const { phase, lastRun, arrival } of jobs) {
        if (phase === 'decode' && run - lastRun > mostLanes)
          throw new Error(`job ${arrival} waited ${run - lastRun} runs`)
      }
    }
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 11, numRuns: 300 }))
})

t.test('queue: order of arrival for each client, clients in turn, and the flood gives way', async (t) => {
  const queue = createFairQueue<{ client: string | undefined; n: number }>(4)
  for (let n = 0; n < 4; n++) queue.push({ client: 'flood', n })
  t.equal(queue.overflow(), undefined)
  queue.push({ client: 'other', n: 4 })
  t.same(queue.overflow(), { client: 'flood', n: 3 }, 'not the one who asked for one thing')
  const order = Array.from({ length: 4 }, () => queue.shift()?.n)
  t.same(order, [0, 4, 1, 2])
  t.equal(queue.shift(), undefined)
  for (let n = 0; n < 5; n++) queue.push({ client: undefined, n })
  t.same(queue.overflow()?.n, 4, 'among equals the last')
  t.same(queue.remove(({ n }) => n === 1)?.n, 1)
  t.same([queue.shift()?.n, queue.shift()?.n, queue.shift()?.n], [0, 2, 3])
})

t.test('slots: only what was run at the wanted level or above is used again', async (t) => {
  const slot = (ids: number[], levels: number[], over: Partial<Slot> = {}): Slot =>
    ({ ids, levels, written: ids.length, busy: false, usedAt: 0, ...over }) as Slot
  const answered = slot([1, 2, 3, 4, 5, 6], [3, 3, 3, 1, 3, 3])
  t.equal(reusable(answered, [1, 2, 3, 4, 5, 6, 7], 3), 3, 'nothing after a row of a smaller network is exact')
  t.equal(reusable(answered, [1, 2, 3, 4, 5, 6, 7], 1), 6)
  t.equal(reusable(answered, [1, 2, 3], 3), 2, 'the last token is always run')
  t.equal(reusable(answered, [9], 0), 0)
  const long = Array.from({ length: 40 }, (_, i) => i)
  const full = long.map(() => 3)
  const used = slot([...long, 90, 91], [...full, 3, 3], { usedAt: 5 })
  const old = slot([7, 7], [3, 3], { usedAt: 1 })
  t.same(assign([used, old], [...long, 90, 91, 92], 3, true), { slot: used, source: null, tokens: 42 }, 'it goes on')
  const other = slot([...long, ...long], [...full, ...full], { usedAt: 5 })
  t.same(
    assign([other, old], [...long, 50], 3, true),
    { slot: old, source: other, tokens: 40 },
    'a copy of the beginning',
  )
  t.same(assign([other, old], [...long, 50], 3, false), { slot: other, source: null, tokens: 40 }, 'or the slot itself')
  t.same(assign([{ ...used, busy: true }, old], [...long, 90], 3, true)?.tokens, 40, 'also from an answer under way')
  t.equal(assign([{ ...old, busy: true }], [1], 0, true), null)
})

t.test('picking the largest without sorting everything', async (t) => {
  const values = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 1, maxLength: 400 })
  const property = fc.property(values, fc.integer({ min: 0, max: 50 }), (list, count) => {
    const sorted = list
      .map((weight, tokenId) => ({ tokenId, weight }))
      .sort((a, b) => b.weight - a.weight || a.tokenId - b.tokenId)
    const row = Float32Array.from(list)
    return (
      same(largest(row, count), sorted.slice(0, count)) &&
      same(
        above(row, 3),
        sorted.filter((c) => c.weight >= 3),
      )
    )
  })
  t.doesNotThrow(() => fc.assert(property, { seed: 3, numRuns: 300 }))
})

t.test('cuts leave the tokens they say, whatever the size of the vocabulary', async (t) => {
  const logits = Float32Array.from({ length: 5000 }, (_, i) => ((i * 7919) % 5000) / 400)
  const weights = [...logits].map((logit) => Math.exp(logit - Math.max(...logits)))
  const sorted = weights.map((weight, id) => ({ weight, id })).sort((a, b) => b.weight - a.weight || a.id - b.id)
  const total = weights.reduce((a, b) => a + b)
  const nucleus = (p: number): number[] => {
    let mass = 0
    const before = sorted.map(({ weight }) => {
      mass += weight
      return mass - weight
    })
    return sorted.filter((_, i) => before[i] < p * total).map(({ id }) => id)
  }
  for (const [over, allowed] of [
    [{ topP: 0.3 }, nucleus(0.3)],
    [{ topP: 0.9999 }, nucleus(0.9999)],
    [{ topK: 7 }, sorted.slice(0, 7).map(({ id }) => id)],
    [{ minP: 0.5 }, sorted.filter(({ weight }) => weight >= 0.5).map(({ id }) => id)],
    [{ minP: 0.2, topP: 0.1 }, nucleus(0.1).filter((id) => weights[id] >= 0.2)],
  ] as const) {
    const sampler = createSampler({ ...greedy, temperature: 1, seed: 1, ...over })
    const seen = new Set(Array.from({ length: 300 }, () => sampler.next(logits).tokenId))
    t.ok(
      [...seen].every((id) => allowed.includes(id)),
      `${JSON.stringify(over)}: nothing beyond the cut`,
    )
    if (allowed.length < 100) t.equal(seen.size, allowed.length, 'and all of it')
  }
})

t.test('penalties: what counts, for how long, and that the model’s own logits stay', async (t) => {
  const logits = Float32Array.of(1, 2, -1, 4)
  const applied = (over: Partial<Sampling>, prompt: number[], said: number[] = []) => {
    const penalties = createPenalties({ ...greedy, ...over }, prompt)
    for (const id of said) penalties.add(id)
    return [...penalties.apply(logits)]
  }
  t.same(applied({ repeatPenalty: 2 }, [1, 2]), [1, 1, -2, 4], 'Ollama’s looks at the prompt too')
  t.same(applied({ repeatPenalty: 2, repeatLastN: 1 }, [1], [3]), [1, 2, -1, 2], 'only so far back')
  t.same(applied({ repeatPenalty: 2, repeatLastN: 0 }, [1], [3]), [...logits])
  t.same(applied({ presencePenalty: 1, frequencyPenalty: 0.5 }, [0], [1, 1]), [1, 0, -1, 4], 'OpenAI’s at the answer')
  t.same(applied({ logitBias: [[3, -100]] }, []), [1, 2, -1, -96])
  t.same([...logits], [1, 2, -1, 4])
})

t.test('whatever comes in between, every request ends once and answers are those of a quiet hour', async (t) => {
  const alone = serving(t)
  const prompts = Array.from({ length: 6 }, (_, k) =>
    Array.from({ length: 3 + 37 * k }, (_, i) => 3 + ((i * (k + 3)) % 800)),
  )
  await alone.ask(...prompts.map((ids, k) => request(`p${k}`, { input: { ids } })))
  const busy = serving(t, { maxSequences: 3, maxQueued: 5, drafts: 'auto' })
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ submit: fc.integer({ min: 0, max: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ cancel: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({ chunk: fc.integer({ min: 1, max: 64 }), concurrency: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 2, arbitrary: fc.record({ wait: fc.integer({ min: 0, max: 3 }) }) },
  )
  let serial = 0
  const property = fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async (actions) => {
    const from = busy.ended.length
    const asked: { id: string; prompt: number }[] = []
    for (const what of actions) {
      if ('submit' in what) {
        const id = `r${serial++}`
        asked.push({ id, prompt: what.submit })
        busy.scheduler.submit(request(id, { client: `c${what.submit % 2}`, input: { ids: prompts[what.submit] } }))
      } else if ('cancel' in what && asked.length > 0) {
        busy.scheduler.cancel(asked[what.cancel % asked.length].id)
      } else if ('chunk' in what) {
        const { chunk: prefillChunk, concurrency } = what
        busy.scheduler.setOrder({ capLevel: full, ecoLevel: full, duty: 1, prefillChunk, concurrency })
      } else if ('wait' in what) {
        for (let i = 0; i < what.wait; i++) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await busy.until(from + asked.length)
    const ended = busy.ended.slice(from)
    if (ended.length !== asked.length || new Set(ended).size !== asked.length) throw new Error('not once each')
    for (const { id, prompt } of asked) {
      const said = busy.ids.get(id) ?? []
      const whole = alone.ids.get(`p${prompt}`) ?? []
      const { finishReason } = busy.done.get(id) ?? {}
      const expected = finishReason === 'cancelled' ? whole.slice(0, said.length) : finishReason ? whole : []
      if (JSON.stringify(said) !== JSON.stringify(expected)) throw new Error(`${id}: ${said} instead of ${expected}`)
    }
  })
  await t.resolves(fc.assert(property, { seed: 17, numRuns: 25 }))
  t.ok(
    busy.steps.some(({ parts }) => parts.length === 3),
    'answers ran together',
  )
  t.ok(busy.failed.every(({ code }) => code === 'queue_full'))
  await busy.ask(...['x', 'y', 'z'].map((id) => request(id, { input: { ids: prompts[0] } })))
  t.same(busy.ids.get('z'), alone.ids.get('p0'), 'all places are free again')
})

t.test('a long prompt does not stop running answers, and they do not stop it', async (t) => {
  const { scheduler, steps, until } = serving(t)
  scheduler.submit(request('short', { sampling: { ...greedy, maxTokens: 40, logitBias: [[2, -100]] } }))
  while (!steps.some(({ phase }) => phase === 'decode')) await new Promise((resolve) => setImmediate(resolve))
  const from = steps.length
  scheduler.submit(request('long', { input: { ids: Array.from({ length: 400 }, (_, i) => 3 + (i % 700)) } }))
  await until(2)
  const turns = steps.slice(from).map(({ phase, parts }) => (phase === 'prefill' ? parts[0].tokens : 0))
  const prompts = turns.map((tokens, i) => [tokens, i]).filter(([tokens]) => tokens > 0)
  t.same(
    prompts.map(([tokens]) => tokens),
    [64, 64, 64, 64, 64, 64, 17],
    'pieces of 64; BOS is put before',
  )
  t.ok(
    prompts.every(([, at], i) => i === 0 || at - prompts[i - 1][1] === 2),
    'one token between two pieces',
  )
})

t.test('prefix reuse: a conversation that goes on runs only what is new, and answers the same', async (t) => {
  const fresh = serving(t)
  const kept = serving(t)
  const say = (content: string) => ({ role: 'user', content }) as const
  const turns = ['What is the status of order 6174?', 'Who carries order 4821?', 'Price of 7306?']
  let messages: { role: 'user' | 'assistant'; content: string }[] = []
  for (const [n, text] of turns.entries()) {
    messages = [...messages, say(text)]
    await kept.ask(request(`k${n}`, { input: { messages } }))
    const other = serving(t)
    await other.ask(request('f', { input: { messages } }))
    t.equal(kept.texts.get(`k${n}`), other.texts.get('f'), text)
    t.equal(other.done.get('f')?.cachedTokens, 0)
    const done = kept.done.get(`k${n}`)
    if (n > 0)
      t.ok((done?.promptTokens ?? 0) - (done?.cachedTokens ?? 0) < 40, `${done?.cachedTokens} of ${done?.promptTokens}`)
    messages = [...messages, { role: 'assistant', content: kept.texts.get(`k${n}`) ?? '' }]
  }
  const prompt = kept.steps
    .filter(({ phase }) => phase === 'prefill')
    .flatMap(({ parts }) => parts.map((p) => p.tokens))
  const expected = [...kept.done.values()].reduce((sum, d) => sum + d.promptTokens - d.cachedTokens, 0)
  t.equal(
    prompt.reduce((a, b) => a + b),
    expected,
    'what is reported as cached was not run',
  )
  await fresh.ask(chat('a', turns[0]))
  await fresh.ask(...['b', 'c', 'd'].map((id, i) => chat(id, turns[i])))
  t.ok(
    ['b', 'c', 'd'].every((id) => (fresh.done.get(id)?.cachedTokens ?? 0) > 150),
    'all share the system prompt',
  )
})

t.test('prefix reuse: what a smaller network wrote is not used where more was asked', async (t) => {
  const { ask, ids, done } = serving(t)
  const ids0 = Array.from({ length: 30 }, (_, i) => 3 + i)
  await ask(request('low', { input: { ids: ids0 }, level: 0, policy: 'eco', sampling: { ...greedy, maxTokens: 20 } }))
  const again = { ids: [1, ...ids0, ...(ids.get('low') ?? []), 99] }
  await ask(request('exact', { input: again }))
  t.equal(done.get('exact')?.cachedTokens, 31, 'the prompt, which ran at the full level, and nothing of the answer')
  await ask(request('low2', { input: { ids: ids0 }, level: 0, policy: 'eco', sampling: { ...greedy, maxTokens: 20 } }))
  await ask(request('eco', { input: again, policy: 'eco' }))
  t.ok((done.get('eco')?.cachedTokens ?? 0) > 31, `${done.get('eco')?.cachedTokens} for eco`)
})

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** How far plain decoding's choice is ahead of the other one where two answers part. */
function tieIn({ model, ids, done }: ReturnType<typeof serving>, id: string, other: readonly number[]): number {
  const said = ids.get(id) ?? []
  const at = said.findIndex((tokenId, i) => tokenId !== other[i])
  const sequence = model.newSequence()
  let row = sequence.run(done.get(id)?.promptIds ?? [], model.levels - 1, 0)
  row = row.subarray(row.length - model.manifest.shape.vocab_size)
  for (const tokenId of said.slice(0, at)) row = sequence.run([tokenId], model.levels - 1, 0)
  const difference = row[said[at]] - row[other[at]]
  sequence.close()
  return difference
}

const words = [
  'order',
  'blue',
  'price',
  'the status of',
  'city',
  'DHL',
  'return',
  '4821',
  '?',
  'customer Mara',
  '.',
  'day',
]
/** Prompts that differ, some of which repeat themselves. */
const promptAt = (i: number): string =>
  Array.from({ length: 4 + (i % 9) }, (_, k) => words[(i * 5 + k * k * (1 + (i % 4))) % words.length]).join(' ') +
  ` ${i}`

t.test('a context that would not fit into memory is refused before it runs, the others go on', async (t) => {
  const asked: [string, number][] = []
  const need = (what: string, bytes: number): void => {
    asked.push([what, bytes])
    if (bytes > 50e6)
      throw new DeapdError('memory_short', { what, neededGb: '0.05', freeGb: '0.04', largestBlock: 'unknown' })
  }
  const model = { kvBytes: 100e6, contextTokens: 1000 }
  const job = (prompt: number, maxTokens: number | null, limit: number, written = 0) => ({
    generation: { ...request('x', { sampling: { ...greedy, maxTokens } }), promptIds: Array(prompt), limit },
    slot: { written },
  })
  const admit = (next: ReturnType<typeof job>, ...active: ReturnType<typeof job>[]): void =>
    admitContext(
      model,
      active.map(({ generation, slot }) => ({ generation: { ...generation, request: generation }, slot })),
      { generation: { ...next.generation, request: next.generation }, slot: next.slot },
      need,
    )
  admit(job(100, 50, 50))
  t.same(asked, [], 'too little to ask for')
  admit(job(100, 100, 100), job(200, 100, 100, 250))
  t.same(asked.pop(), ['a context of 200 tokens', 25e6], 'what others have still to write counts')
  admit(job(100, null, 900))
  t.same(asked.pop(), ['a context of 356 tokens', 35.6e6], 'of an unstated length')
  admit(job(800, 100, 100, 800))
  t.same(asked, [], 'pages that were written are there')
  t.throws(() => admit(job(700, 100, 100)), { code: 'memory_short' })

  const { ask, failed, done } = serving(t, {
    requireRoom: (what) => {
      throw new DeapdError('memory_short', { what, neededGb: '1', freeGb: '0', largestBlock: 'unknown' })
    },
  })
  await ask(request('small'), request('next'))
  t.same([failed.length, done.size], [0, 2], 'the bundled model’s contexts are too small to be asked for')
})

/** The bundled package with int8 keys and values, whose rows the CPU computes alike, together or alone. */
function roundedPackage(t: Test): string {
  const dir = join(t.testdir({}), 'rounded')
  cpSync(bundled, dir, { recursive: true })
  const { manifest } = openPackage(dir)
  const encode = openTemplate(dir, manifest, openTokenizer(dir))
  const text = manifest.sample_questions.flatMap((content) => encode([{ role: 'user', content }]))
  const long = Array.from({ length: Math.ceil(512 / text.length) }, () => text).flat()
  t.ok(calibrateKv(ort, dir, 1, long).kept)
  return dir
}

const emittedPerRun = (steps: readonly StepEvent[]): number => {
  const decode = steps.filter(({ phase }) => phase === 'decode')
  return decode.reduce((sum, { parts }) => sum + parts[0].emitted, 0) / decode.length
}

t.test(
  'drafts: greedy answers to 1,000 prompts are those of plain decoding, token for token, with int4 weights',
  async (t) => {
    const dir = roundedPackage(t)
    const sampling = { ...greedy, maxTokens: 12, logitBias: [[2, -100]] as const }
    const asked = Array.from({ length: 1000 }, (_, i) => request(`d${i}`, { input: { prompt: promptAt(i) }, sampling }))
    const plain = serving(t, { dir })
    await plain.ask(...asked)
    const drafted = serving(t, { dir, maxSequences: 1, drafts: 'always' })
    await drafted.ask(...asked)
    const different = asked.filter(({ id }) => !same(plain.ids.get(id), drafted.ids.get(id)))
    t.same(different, [])
    t.ok(
      emittedPerRun(drafted.steps) > 1.3,
      `${emittedPerRun(drafted.steps)} tokens a run: weight bytes per token fall alike`,
    )
  },
)

t.test(
  'drafts: where rows of one run round differently, exact answers have none and others part at ties only',
  async (t) => {
    const float = join(t.testdir(), 'float')
    await importModel({ source: checkpoint, out: float, quantisation: 'none', block: 32, levels: 2 })
    const ask = (i: number, policy: 'exact' | 'balanced') =>
      request(`d${i}`, {
        policy,
        input: { prompt: promptAt(i) },
        sampling: { ...greedy, maxTokens: 12, logitBias: [[2, -100]] },
      })
    const numbers = Array.from({ length: 200 }, (_, i) => i)
    const plain = serving(t, { dir: float })
    await plain.ask(...numbers.map((i) => ask(i, 'exact')))
    for (const policy of ['exact', 'balanced'] as const) {
      const drafted = serving(t, { dir: float, maxSequences: 1, drafts: 'always' })
      await drafted.ask(...numbers.map((i) => ask(i, policy)))
      const different = [...plain.ids.keys()].filter((id) => !same(plain.ids.get(id), drafted.ids.get(id)))
      if (policy === 'exact') {
        t.same(different, [])
        t.ok(emittedPerRun(drafted.steps) <= 1, 'one run was tried and found different')
      } else {
        for (const id of different) t.ok(tieIn(plain, id, drafted.ids.get(id) ?? []) < 0.5, `${id} differs at a tie`)
        t.ok(
          different.length <= 1 && emittedPerRun(drafted.steps) > 1.3,
          `${emittedPerRun(drafted.steps)} tokens a run`,
        )
      }
    }
  },
)

t.test(
  'drafts: what runs of several rows compute is tried for every size, level and doubling of the context',
  async (t) => {
    const agreements = createAgreements()
    const run = { rows: 3, level: 2, contextTokens: 100 }
    t.equal(agreements.of(run), 'untried')
    agreements.note(run, true)
    t.equal(agreements.of(run), 'same')
    t.equal(
      agreements.of({ ...run, level: 1, contextTokens: 256 }),
      'same',
      'a level runs the products of all below it',
    )
    for (const other of [{ rows: 4 }, { level: 3 }, { contextTokens: 257 }])
      t.equal(agreements.of({ ...run, ...other }), 'untried')
    agreements.note({ ...run, rows: 4 }, false)
    t.equal(agreements.of(run), 'different', 'one difference is enough')
  },
)

t.test('drafts: a seed gives the same words with and without, at any temperature and with penalties', async (t) => {
  const dir = roundedPackage(t)
  const plain = serving(t, { dir })
  const drafted = serving(t, { dir, maxSequences: 1, drafts: 'always' })
  const asked = Array.from({ length: 60 }, (_, i) =>
    request(`s${i}`, {
      input: { prompt: promptAt(i) },
      sampling: {
        ...greedy,
        temperature: 0.3 + (i % 3),
        topP: i % 2 ? 0.9 : 1,
        seed: i,
        maxTokens: 16,
        repeatPenalty: 1.1,
      },
    }),
  )
  await plain.ask(...asked)
  await drafted.ask(...asked)
  for (const { id } of asked) t.same(drafted.ids.get(id), plain.ids.get(id), id)
  t.ok(drafted.steps.some(({ parts }) => parts[0].emitted > 1))
})

t.test('drafts: proposals come from the text itself, then from what followed a token before', async (t) => {
  const successors = new Int32Array(100).fill(-1)
  const proposer = createProposer([5, 6, 7, 8, 9, 5, 6, 7], successors)
  t.same(proposer.propose(3), { source: 'lookup-3', ids: [8, 9, 5] })
  proposer.add(50)
  t.equal(proposer.propose(3), null, 'never seen')
  proposer.add(9)
  t.same(proposer.propose(2), { source: 'recycling', ids: [5, 6] })
  t.same(createProposer([50], successors).propose(2)?.ids, [9, 5], 'across answers')
  t.equal(proposer.propose(0), null)
})

t.test('drafts: verified only while the measured costs and hits say that it pays', async (t) => {
  const draft: Draft = { source: 'lookup-4', ids: [1, 2, 3, 4, 5, 6, 7, 8] }
  /** A machine on which each further row costs so much of the first, and a source that is right so often. */
  const settle = (perRow: number, right: (n: number) => boolean) => {
    const policy = createDraftPolicy('auto')
    let verified = 0
    for (let n = 0; n < 2000; n++) {
      const length = policy.length(draft)
      if (n >= 1000) verified += length
      policy.cost(3, 1 + length, 1 + perRow * length)
      if (length > 0) policy.cost(3, 1, 1)
      const tokens = Array.from({ length: length + 1 }, (_, i) => (right(n + i) ? i + 1 : 99))
      const wrong = tokens.indexOf(99)
      policy.observe(draft, wrong < 0 ? tokens : tokens.slice(0, wrong + 1))
    }
    return verified / 1000
  }
  t.ok(settle(0.03, (n) => n % 10 > 0) > 3, 'a board bound by memory')
  t.ok(
    settle(0.7, (n) => n % 3 > 0) < 0.02,
    'a CPU on which rows cost nearly as much as tokens: only a look now and then',
  )
  t.ok(settle(0.03, (n) => n % 50 === 0) < 0.02, 'a source that is hardly ever right')
  t.equal(createDraftPolicy('off').length(draft), 0)
})

t.test('stop strings, lengths and levels belong to each answer, also in one run', async (t) => {
  const { ask, texts, done, scheduler, steps } = serving(t)
  const sampling = { ...greedy, maxTokens: 24, logitBias: [[2, -100]] as const }
  await ask(chat('plain', 'Price of 7306?', { sampling }))
  const text = texts.get('plain') ?? ''
  const stop = text.slice(4, 7)
  scheduler.setOrder({ capLevel: full, ecoLevel: 0, duty: 1 })
  await ask(
    chat('stopped', 'Price of 7306?', { sampling: { ...sampling, stop: [stop] } }),
    chat('low', 'Price of 7306?', { sampling, policy: 'eco', level: 1 }),
    chat('eco', 'Price of 7306?', { sampling: { ...sampling, maxTokens: 40 }, policy: 'eco' }),
    chat('exact', 'Price of 7306?', { sampling: { ...sampling, maxTokens: 20 } }),
  )
  t.equal(texts.get('stopped'), text.slice(0, text.indexOf(stop)))
  t.match(done.get('stopped'), { finishReason: 'stop', degraded: false })
  t.match(done.get('exact'), { finishReason: 'length', completionTokens: 20, levels: { [full]: 20 } })
  t.same(done.get('low')?.levels, { 1: 23, [full]: 1 }, 'a named level is that level')
  t.ok((done.get('eco')?.levels[full] ?? 0) > 1, 'carried along while others ran at the full level')
  t.ok((done.get('eco')?.levels[0] ?? 0) > 1, 'and by itself at the level that was ordered')
  t.ok(steps.every(({ parts }) => new Set(parts.map(({ requestId }) => requestId)).size === parts.length))
})
