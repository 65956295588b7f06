import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { probability } from '../src/engine/complexity/estimate.ts'
import { featuresOf } from '../src/engine/complexity/question.ts'
import type { Loaded } from '../src/engine/generation.ts'
import { openModel } from '../src/engine/model.ts'
import { loadOrt } from '../src/engine/ort/api.ts'
import type { DraftMode, FromEngine, GenerateRequest, Order, Sampling } from '../src/engine/protocol.ts'
import { createScheduler } from '../src/engine/scheduler.ts'
import { openTemplate } from '../src/engine/template.ts'
import { openTokenizer } from '../src/engine/tokenizer.ts'
import { openAnswerer } from '../src/evaluate/answers.ts'
import { routedLane } from '../src/evaluate/certificate/lanes.ts'
import { fixedSequence, upperBound } from '../src/evaluate/certificate/learn-then-test.ts'
import { auroc, fitLogistic } from '../src/evaluate/certificate/logistic.ts'
import { frontier } from '../src/evaluate/certificate/policies.ts'
import { simulate } from '../src/evaluate/certificate/validate.ts'
import { seededRandom } from '../src/evaluate/support/random.ts'
import { checkCertificate, subjectOf, writeManifest } from '../src/models/certificate.ts'
import { importModel } from '../src/models/import.ts'
import { openPackage } from '../src/models/package.ts'
import { type Routing, routerRevision } from '../src/models/routing.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

const ort = loadOrt()
const folder = mkdtempSync(join(tmpdir(), 'deapd-certificate-'))
const dir = join(folder, 'tiny')
/** Every answer starts at level 0; rows that are not sure go back. */
const routing: Routing = {
  requests: [
    { bias: -3, weights: {} },
    { bias: -4, weights: {} },
  ],
  token: { bias: 0, weights: { margin: -0.3, entropy: 0.2 } },
  hold: 1,
  balanced: { risk: 0.2, doubt: 0.6 },
  eco: { risk: 1, doubt: 1 },
}
t.before(async () => {
  const source = writeCheckpoint(join(folder, 'source'), tinyConfig, tinyWeights(tinyConfig, 7))
  await importModel({ source, out: dir, quantisation: 'int4', block: 16, levels: 3, threads: 0 })
  certify(dir)
})
t.teardown(() => rmSync(folder, { recursive: true }))

/** Writes a certificate as `deapd certify` would, for the routing above. */
function certify(at: string): void {
  const manifest = { ...openPackage(at).manifest, routing }
  writeManifest(at, {
    ...manifest,
    certificate: {
      levels: [0, 1, 2],
      margin_points: 1.5,
      confidence: 0.95,
      n: 3000,
      data_sha256: 'none',
      date: '2026-11-24T00:00:00.000Z',
      loss: 'answers',
      losses: 10,
      grid: [{ ...routing.balanced, losses: 10, p_value: 0, cost: 0.5 }],
      chosen: 0,
      seed: 1,
      fit_n: 3000,
      differing: { count: 20, bound: 0.011 },
      subject_sha256: subjectOf(manifest),
    },
  })
}

t.test('a certificate is void when weights, tokenizer or thresholds are not what was certified', async (t) => {
  const copy = join(folder, 'copy')
  const check = () => checkCertificate(copy, openPackage(copy).manifest)
  const fresh = () => {
    rmSync(copy, { recursive: true, force: true })
    cpSync(dir, copy, { recursive: true })
  }
  fresh()
  t.match(check(), { state: 'valid', reason: /1\.5 points.*95 %.*3000 prompts/ })
  const { manifest } = openPackage(copy)
  writeManifest(copy, { ...manifest, routing: { ...routing, balanced: { risk: 0.3, doubt: 0.6 } } })
  t.match(check(), { state: 'void', reason: /routing changed.*full network.*deapd certify/ })
  // What was measured with a router that decides otherwise from the same numbers certifies nothing of this one.
  const ofAnother = createHash('sha256')
    .update(JSON.stringify([routerRevision - 1, manifest.routing]))
    .digest('hex')
  const { certificate } = manifest
  if (!certificate) throw new Error('the fixture has a certificate')
  const subject = { ...certificate.subject_sha256, routing: ofAnother }
  writeManifest(copy, { ...manifest, certificate: { ...certificate, subject_sha256: subject } })
  t.match(check(), { state: 'void', reason: /routing changed/ })
  writeManifest(copy, { ...manifest, levels: manifest.levels.map((l) => ({ ...l, weight_bytes: l.weight_bytes + 1 })) })
  t.match(check(), { state: 'void', reason: /weights changed/ })
  const files = { ...manifest.files, 'tokenizer.json': { ...manifest.files['tokenizer.json'], sha256: 'another' } }
  writeManifest(copy, { ...manifest, files })
  t.match(check(), { state: 'void', reason: /tokenizer changed/ })
  fresh()
  const weights = readFileSync(join(copy, 'model.onnx.data'))
  weights[100] ^= 1
  writeFileSync(join(copy, 'model.onnx.data'), weights)
  t.match(
    check(),
    { state: 'void', reason: /model\.onnx\.data is not the file that was certified/ },
    'also without a word in the manifest',
  )
  writeManifest(copy, { ...manifest, certificate: null })
  t.match(check(), { state: 'none' })
})

const greedy: Sampling = {
  maxTokens: 12,
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: 3,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  repeatPenalty: 1,
  repeatLastN: 64,
  logitBias: [],
  topLogprobs: null,
}
const prompts = [
  [1, 40, 50, 60],
  [1, 33, 21],
  [1, 90, 91, 92, 93, 94, 95],
  [1, 200, 7, 200, 7],
  [1, 5, 5, 5],
]
type Done = Extract<FromEngine, { type: 'done' }>
type Shadow = Extract<FromEngine, { type: 'shadow' }>

/** Answers the prompts one after the other with a scheduler, and returns all it said. */
async function answered(
  t: Test,
  over: Partial<GenerateRequest> = {},
  { drafts = 'off', certified = true, order }: { drafts?: DraftMode; certified?: boolean; order?: Order } = {},
) {
  const { manifest } = openPackage(dir)
  const model = openModel(ort, dir, manifest, 1)
  t.teardown(() => model.close())
  const tokenizer = openTokenizer(dir)
  const routes = { certified }
  const loaded: Loaded = { model, tokenizer, encodeChat: openTemplate(dir, manifest, tokenizer), routes }
  const ids: number[][] = []
  const levels: number[][] = []
  const done: Done[] = []
  const shadows: Shadow[] = []
  let settle = (_: FromEngine) => {}
  const send = (message: FromEngine) => {
    if (message.type === 'token') {
      ids[Number(message.id)].push(message.tokenId)
      levels[Number(message.id)].push(message.level)
    }
    if (message.type === 'done') done.push(message)
    if (message.type === 'shadow') shadows.push(message)
    settle(message)
  }
  const scheduler = createScheduler(loaded, {
    maxSequences: 2,
    maxQueued: 9,
    requireRoom: () => undefined,
    drafts,
    send,
    random: () => 0,
  })
  if (order) scheduler.setOrder(order)
  const routed = certified && (over.policy ?? 'balanced') === 'balanced' && over.sampling === undefined
  for (const [i, promptIds] of prompts.entries()) {
    ids[i] = []
    levels[i] = []
    const ended = new Promise<void>((resolve) => {
      // With every answer drawn, the shadow run is the last that is heard of one.
      settle = ({ type }) => type === (routed && order?.shadows !== false ? 'shadow' : 'done') && resolve()
    })
    scheduler.submit({
      id: String(i),
      input: { ids: promptIds },
      sampling: greedy,
      policy: 'balanced',
      level: null,
      maxJoules: null,
      ...over,
    })
    await ended
  }
  return { ids, levels, done, shadows }
}

/** The same answers from the harness that certificates are measured with. */
function harness() {
  const { manifest } = openPackage(dir)
  const shares = manifest.levels.map(({ share }) => share)
  const tokenizer = openTokenizer(dir)
  const prepared = prompts.map((promptIds) => ({
    promptIds,
    features: featuresOf({ ids: promptIds }, promptIds, tokenizer, manifest.shape.vocab_size),
    answer: null,
    stratum: null,
  }))
  const answerer = openAnswerer(ort, dir, { maxTokens: 12 })
  const lane = routedLane(routing, routing.balanced, shares, prepared)
  const { answers } = answerer.answer(prompts, [lane])
  answerer.close()
  return answers[0]
}

t.test('the daemon routes as the certificate was measured, with and without drafts', async (t) => {
  const wanted = harness()
  t.ok(
    wanted.some(({ refused }) => refused.length > 0),
    'some rows were refused',
  )
  t.ok(
    wanted.some(({ levels }) => levels.includes(0)),
    'some tokens came from the smallest level',
  )
  const eos = openPackage(dir).manifest.eos_token_ids
  for (const drafts of ['off', 'always'] as const) {
    const { ids, levels, done } = await answered(t, {}, { drafts })
    for (const [i, answer] of wanted.entries()) {
      const said = answer.ids.filter((id) => !eos.includes(id))
      t.same(
        ids[i].filter((id) => !eos.includes(id)),
        said,
        `${drafts}: tokens of ${i}`,
      )
      t.same(levels[i].slice(0, said.length), answer.levels.slice(0, said.length), `${drafts}: levels of ${i}`)
      t.equal(done[i].routing?.decidedAgain, answer.refused.length)
      t.match(done[i], { degraded: false, routing: { startLevel: 0, explanation: /level 0: risk of level 0/ } })
    }
  }
})

t.test('who is not covered by the certificate gets the full network', async (t) => {
  const full = 2
  const only = (levels: number[][]) => levels.flat().every((level) => level === full)
  const exact = await answered(t, { policy: 'exact' })
  t.ok(only(exact.levels) && exact.done.every(({ routing }) => routing === null))
  t.ok(only((await answered(t, {}, { certified: false })).levels), 'void or revoked')
  t.ok(only((await answered(t, { sampling: { ...greedy, temperature: 1 } })).levels), 'drawn at random')
  const eco = await answered(t, { policy: 'eco' }, { order: { capLevel: 2, ecoLevel: 0, duty: 1 } })
  t.ok(eco.levels.flat().includes(0), 'eco asks for no certificate')
  const capped = await answered(t, {}, { order: { capLevel: 0, ecoLevel: 0, duty: 1, shadows: false } })
  t.same(
    [...new Set(capped.levels.flatMap((levels) => levels.slice(1)))],
    [0],
    'the governor’s cap is above the router',
  )
  t.ok(
    capped.done.some(({ degraded }) => degraded),
    'and what was decided below the router’s wish is labelled',
  )
})

t.test('a shadow run finds out whether the full network would have said the same', async (t) => {
  const routed = await answered(t)
  const exact = await answered(t, { policy: 'exact' })
  t.equal(routed.shadows.length, prompts.length)
  t.ok(routed.shadows.some(({ differs }) => differs) && routed.shadows.some(({ disagreements }) => disagreements > 0))
  for (const [i, { id, differs, tokens, disagreements }] of routed.shadows.entries()) {
    t.equal(id, String(i))
    t.equal(differs, routed.ids[i].join() !== exact.ids[i].join(), `answer ${i}`)
    t.ok(disagreements <= tokens && tokens <= 12)
  }
  const dark = await answered(t, {}, { order: { capLevel: 2, ecoLevel: 0, duty: 1, shadows: false } })
  t.ok(
    dark.shadows.every(({ tokens }) => tokens === 0),
    'without power nothing is read again',
  )
})

t.test('logistic regression finds planted weights, and stays finite where signals separate', async (t) => {
  const random = seededRandom(5)
  const unit = () => random.int(-1000, 1000) / 500
  const observations = Array.from({ length: 6000 }, () => {
    const signals = { a: unit(), b: 100 * unit(), constant: 3 }
    const p = 1 / (1 + Math.exp(-(-1 + 1.5 * signals.a - 0.02 * signals.b)))
    return { signals, happened: random.chance(p) }
  })
  const { bias, weights } = fitLogistic(observations)
  t.ok(Math.abs(bias + 1) < 0.15 && Math.abs(weights.a - 1.5) < 0.15 && Math.abs(weights.b + 0.02) < 0.003)
  t.notOk('constant' in weights)
  const separated = fitLogistic([-2, -1, 1, 2].map((a) => ({ signals: { a }, happened: a > 0 })))
  t.ok(separated.weights.a > 0 && Number.isFinite(separated.weights.a))
  t.ok(fitLogistic([{ signals: { a: 1 }, happened: false }]).bias < 0)
  t.equal(auroc([0.1, 0.4, 0.35, 0.8], [false, false, true, true]), 0.75)
  t.equal(auroc([1, 1, 1, 1], [false, true, true, false]), 0.5)
})

t.test('logistic regression finds the optimum where nearly every observation is sure and alike', async (t) => {
  const random = seededRandom(6)
  const share = () => random.int(0, 1_000_000) / 1_000_000
  const observations = Array.from({ length: 6000 }, () => {
    const unsure = random.chance(0.02)
    const entropy = unsure ? 0.4 * share() : 1e-4 * share() ** 8
    const margin = unsure ? 6 * share() - 3 : 9.2
    const rolling = random.chance(0.05) ? 0.1 * share() : 0
    return { signals: { entropy, rolling, margin }, happened: unsure ? random.chance(0.5) : random.chance(0.0005) }
  })
  const fit = fitLogistic(observations)
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  const estimates = observations.map(({ signals }) => probability(fit, signals))
  const happened = observations.map((each) => each.happened)
  // The bias bears no penalty, so at the optimum the estimates have the mean of what happened.
  t.ok(Math.abs(mean(estimates) - mean(happened.map(Number))) < 1e-5)
  t.ok(auroc(estimates, happened) > 0.9)
})

t.test('the fixed sequence ends at the first point that cannot be proven', async (t) => {
  // Exact binomial: 33 of 3,000 are just certain enough for 1.5 points, 34 are not.
  t.match(fixedSequence([0, 33, 20, 34, 0], 3000, 0.015, 0.95), { chosen: 2 })
  t.match(fixedSequence([36, 0], 3000, 0.015, 0.95), { chosen: null })
  // No loss in 200 is the least that certifies (deap.md §5).
  t.match([fixedSequence([0], 200, 0.015, 0.95).chosen, fixedSequence([0], 198, 0.015, 0.95).chosen], [0, null])
  // Clopper–Pearson: 0 of n has the bound 1 − 0.05^(1/n).
  t.ok(Math.abs(upperBound(0, 100, 0.95) - (1 - 0.05 ** (1 / 100))) < 1e-9)
  const front = frontier(
    [
      { risk: 0.1, doubt: 1, losses: 9, cost: 0.4 },
      { risk: 0.2, doubt: 1, losses: 9, cost: 0.5 },
      { risk: 0.3, doubt: 1, losses: 2, cost: 0.6 },
      { risk: 0.4, doubt: 1, losses: 0, cost: 0.9 },
      { risk: 0.5, doubt: 1, losses: 50, cost: 0.3 },
    ],
    5,
    10,
  )
  t.same(
    front.map(({ losses }) => losses),
    [0, 2, 9],
    'safest first, one beyond what may be lost, dominated ones left out',
  )
})

t.test('of 200 recalibrations hardly one in twenty chooses a risk above the margin', async (t) => {
  const random = seededRandom(11)
  // Nested losses whose risks cross the margin closely: the hardest case.
  const risks = [0, 0.008, 0.011, 0.013, 0.0145, 0.0155, 0.0165, 0.02, 0.03]
  const draws = Array.from({ length: 30_000 }, () => random.int(0, 999_999) / 1e6)
  const lost = risks.map((risk) => Uint8Array.from(draws, (draw) => (draw < risk ? 1 : 0)))
  const { above, chosen, recalibrations, pool, n } = simulate(lost, {
    margin: 0.015,
    confidence: 0.95,
    n: 3000,
    seed: 4,
  })
  t.match({ recalibrations, pool, n }, { recalibrations: 200, pool: 30_000, n: 3000 })
  t.ok(above <= 17, `${above} of 200`)
  t.ok(chosen[0] < 40, 'and it does not just refuse everything')
  const blind = risks.map((_, point) => Uint8Array.from(draws, () => (point === 0 ? 0 : random.chance(0.03) ? 1 : 0)))
  t.equal(simulate(blind, { margin: 0.015, confidence: 0.95, n: 3000, seed: 4 }).above, 0)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 12 }), (losses) => {
      const { chosen: last, pValues } = fixedSequence(losses, 1000, 0.015, 0.95)
      return pValues.every((p, i) =>
        last !== null && i <= last ? p <= 0.05 : i === (last ?? -1) + 1 ? p > 0.05 : true,
      )
    }),
    { seed: 20261124 },
  )
})
