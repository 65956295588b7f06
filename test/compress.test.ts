import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { answer } from '../src/compress/answering.ts'
import { bytesOf, follow, subnetsOf } from '../src/compress/chain.ts'
import { eliminate } from '../src/compress/eliminate.ts'
import { chooseLevels, hypervolume, nondominated, type Point, spacing } from '../src/compress/frontier.ts'
import { ascend, type Counts, type GateProblem, gateProblem } from '../src/compress/gates.ts'
import { fullSubnet, groupNumber, groupsOf, without } from '../src/compress/groups.ts'
import { tokenEnergy } from '../src/compress/joules.ts'
import { useLost } from '../src/compress/judge.ts'
import { measurePackage } from '../src/compress/measure.ts'
import { openNetwork } from '../src/compress/network.ts'
import { emptyLayerSums, growing, noMeans, placesOf } from '../src/compress/passes.ts'
import { layerLevelsOf, shiftsOf } from '../src/compress/plan.ts'
import { logFile, type PruneOptions, pruneCheckpoint } from '../src/compress/prune.ts'
import { readAll } from '../src/compress/reading.ts'
import { pointsOf, refine } from '../src/compress/refine.ts'
import { openSpool } from '../src/compress/spool.ts'
import { fluctuations, momentsOf } from '../src/compress/statistics.ts'
import { readCalibrationText } from '../src/compress/text.ts'
import { openWeights } from '../src/compress/weights.ts'
import { openModel } from '../src/engine/model.ts'
import { loadOrt } from '../src/engine/ort/api.ts'
import { makePackage, type PackagePlan, withPool, writePackage } from '../src/models/import.ts'
import { type Manifest, manifestFile } from '../src/models/manifest.ts'
import { openPackage, verifyPackage } from '../src/models/package.ts'
import { openCheckpoint } from '../src/models/source/open.ts'
import { referenceLogits, tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

fc.configureGlobal({ seed: 20261124 })

const weights = tinyWeights(tinyConfig, 1)
const ort = loadOrt()
const energy = { board: findBoard('agx-orin-64gb') }

const logSoftmax = (logits: readonly number[]): number[] => {
  const sum = Math.log(logits.reduce((all, value) => all + Math.exp(value), 0))
  return logits.map((value) => value - sum)
}

/** Σ KL of the float64 reference with some groups off in the rows from `from` to `to`, everything on before. */
function referenceKl(ids: Int32Array, from: number, to: number, chunk: number | null, head: number | null): number {
  const all = Array.from({ length: tinyConfig.ffn }, (_, c) => c)
  const low = (p: number): boolean => p >= from
  const perPosition = <T>(off: T, on: T, layer: number, at: number): T[] =>
    [...ids].map((_, p) => (low(p) && layer === at ? off : on))
  const channels = [0, 1].map((layer) =>
    perPosition(
      all.filter((c) => Math.floor(c / 32) !== chunk),
      all,
      layer,
      1,
    ),
  )
  const heads = [0, 1].map((layer) => perPosition(head === null ? [0, 1] : [1 - head], [0, 1], layer, 0))
  const dense = referenceLogits(tinyConfig, weights, [...ids]).map(logSoftmax)
  const cut = referenceLogits(tinyConfig, weights, [...ids], channels, heads).map(logSoftmax)
  let kl = 0
  for (let p = from; p < to; p++) for (const [i, log] of dense[p].entries()) kl += Math.exp(log) * (log - cut[p][i])
  return kl
}

/** A tiny checkpoint of float weights, two ranges of one text, and everything that reads it. */
function bench(folder: string) {
  mkdirSync(folder, { recursive: true })
  const checkpoint = openCheckpoint(writeCheckpoint(join(folder, 'hf'), tinyConfig, weights, 2))
  const { shape } = checkpoint
  const groups = groupsOf(shape, { quantisation: 'none', block: 0 })
  const padded = groups.chunks * groups.chunkChannels
  const channels = checkpoint.layers.map(() =>
    Int32Array.from({ length: padded }, (_, c) => (c < shape.ffnSize ? c : -1)),
  )
  const ids = Int32Array.from({ length: 20 }, (_, i) => (i * 37 + 5) % tinyConfig.vocab)
  const samples = [
    {
      ids,
      ranges: [
        { from: 8, to: 12 },
        { from: 15, to: 19 },
      ],
      answers: true,
    },
  ]
  const network = openNetwork(ort, folder, shape, groups, 1)
  const stream = openWeights(checkpoint, { form: null, channels, folder })
  const spool = openSpool(folder, shape, samples)
  return {
    shape,
    groups,
    ids,
    samples,
    network,
    stream,
    spool,
    bench: { shape, groups, network, samples, budgetBytes: 5e4, room: growing() },
  }
}

t.test(
  'masked variants diverge as the float64 reference says, after a prompt that the full network read',
  async (t) => {
    const { shape, groups, ids, samples, stream, spool, bench: b, network } = bench(t.testdir({}))
    const tops = readAll(b, stream, null, spool)
    const full = fullSubnet(groups)
    const chunk = groupNumber(groups, 1, 'mlp', 1)
    const head = groupNumber(groups, 0, 'heads', 1)
    const subnets = [full, without(full, [chunk]), without(full, [chunk, head])]
    const task = { weights: stream, spool, tops, places: placesOf(samples), means: noMeans(shape, groups) }
    const { kl } = answer(b, subnets, task)
    for (const [range, { from, to }] of samples[0].ranges.entries()) {
      t.ok(Math.abs(kl[0][range]) < 1e-4, 'the full network is itself')
      const close = (found: number, expected: number): boolean => Math.abs(found - expected) < 1e-3 * expected
      t.ok(close(kl[1][range], referenceKl(ids, from, to, 1, null)), 'without a chunk')
      t.ok(close(kl[2][range], referenceKl(ids, from, to, 1, 1)), 'without a chunk and a head')
    }
    const alone = answer(b, [full, without(full, [chunk])], { ...task, places: task.places.slice(1) })
    t.ok(Math.abs(alone.kl[1][0] - kl[1][1]) < 1e-4, 'the batch does not matter')
    // Hidden states of two variants of the longer range have room: the third one goes with the first again.
    const asked: number[] = []
    const held = growing()
    const room = (floats: number): Float32Array => {
      asked.push(4 * floats)
      return held(floats)
    }
    const budgetBytes = 2 * 4 * 4 * shape.hiddenSize
    const few = answer({ ...b, budgetBytes, room }, subnets, task)
    t.ok(asked.length > 2 && Math.max(...asked) <= budgetBytes, 'memory does not grow with the variants')
    t.ok(few.kl.every((sums, i) => sums.every((sum, at) => Math.abs(sum - kl[i][at]) < 1e-4)))
    for (const close of [network, stream, spool]) close.close()
  },
)

t.test('the fluctuation of a block is the mean squared error of dropping it, its mean kept', async (t) => {
  const { shape, groups, samples, stream, spool, bench: b, network } = bench(t.testdir({}))
  const tops = readAll(b, stream, null, spool)
  const sums = emptyLayerSums(shape, groups)
  const task = { weights: stream, spool, tops, places: placesOf(samples), means: noMeans(shape, groups) }
  answer(b, [fullSubnet(groups)], task, sums)
  t.equal(sums[0].tokens, 8)
  const { errors, means } = fluctuations(groups, network, stream, sums)
  // By hand, from the second moments: Σ over rows of W of w Σ wᵀ.
  const { covariance } = momentsOf(sums[1].mlp, 8)
  const { down } = stream.layer(1)
  const [size, width, index] = [32, 128, 2]
  let expected = 0
  for (let row = 0; row < shape.hiddenSize; row++)
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        expected +=
          down[row * width + index * size + i] *
          covariance[(index * size + i) * size + j] *
          down[row * width + index * size + j]
  t.ok(Math.abs(errors[groupNumber(groups, 1, 'mlp', index)] / expected - 1) < 1e-3)
  t.equal(means[0].heads.length, shape.heads * shape.headSize)
  for (const close of [network, stream, spool]) close.close()
})

t.test('a package leaves out what the calibration left out, with the same means in its place', async (t) => {
  const folder = t.testdir({})
  const { shape, groups, samples, stream, spool, bench: b, network } = bench(folder)
  const tops = readAll(b, stream, null, spool)
  const sums = emptyLayerSums(shape, groups)
  const task = { weights: stream, spool, tops, places: placesOf(samples), means: noMeans(shape, groups) }
  const full = fullSubnet(groups)
  answer(b, [full], task, sums)
  const { means } = fluctuations(groups, network, stream, sums)
  // A whole MLP and a whole layer's heads among what goes.
  const middle = without(full, [groupNumber(groups, 0, 'heads', 1), groupNumber(groups, 1, 'mlp', 2)])
  const gone = [0, 1, 2, 3].map((index) => groupNumber(groups, 1, 'mlp', index))
  const least = without(middle, [...gone, ...[0, 1].map((index) => groupNumber(groups, 0, 'heads', index))])
  const expected = answer(b, [full, middle, least], { ...task, means })
  const channels = [0, 1].map(() => Int32Array.from({ length: shape.ffnSize }, (_, c) => c))
  const subnets = [least, middle, full]
  const levels = layerLevelsOf(shape, groups, subnets, channels)
  const shifts = shiftsOf(shape, groups, subnets, means, network, stream)
  const write = (name: string, plan: Omit<PackagePlan, 'levels'>): Promise<Manifest> =>
    makePackage({ source: join(folder, 'hf'), out: join(folder, name) }, (checkpoint, workspace) =>
      withPool(checkpoint, workspace, 0, (pool) =>
        writePackage(checkpoint, workspace, pool, { ...plan, levels }, undefined),
      ),
    )
  const float = await write('float', { form: { quantisation: 'none', block: 0 }, shifts })
  const scores = measurePackage(ort, join(folder, 'float'), float, 1, samples, task.places)
  for (const [level, variant] of [2, 1].entries())
    for (const place of [0, 1]) {
      const [found, wanted] = [scores[level].kl[place], expected.kl[variant][place]]
      t.ok(Math.abs(found - wanted) < 1e-3 * wanted + 1e-4, `level ${level}: ${found} against ${wanted}`)
    }

  const form = { quantisation: 'int4', block: 32 } as const
  const run = async (name: string, level: number, plan: Omit<PackagePlan, 'levels'>): Promise<Float32Array> => {
    const manifest = existsSync(join(folder, name)) ? openPackage(join(folder, name)).manifest : await write(name, plan)
    const model = openModel(ort, join(folder, name), manifest, 1, { slots: 1, prepack: 'never' })
    const logits = model.newSequence().run([1, 5, 9, 33], level, 0).slice()
    model.close()
    return logits
  }
  t.same(
    await run('with', 2, { form, shifts }),
    await run('bare', 2, { form }),
    'the full level is the same to the bit',
  )
  t.notSame(await run('with', 0, { form, shifts }), await run('bare', 0, { form }))
  for (const close of [network, stream, spool]) close.close()
})

t.test('frontiers: dominated points go, the hypervolume is the area, levels keep their distance', async (t) => {
  const square = [
    { joules: 1, loss: 0 },
    { joules: 0.5, loss: 0.5 },
    { joules: 0.6, loss: 0.6 },
  ]
  t.same(nondominated(square), [1, 0])
  t.equal(hypervolume(square, { joules: 1, loss: 1 }), 0.25)
  t.equal(hypervolume(square, { joules: 2, loss: 1 }), (0.5 * 0.5 + 1 * 1) / 2)
  const point = fc.record({
    joules: fc.double({ min: 0.2, max: 0.99, noNaN: true }),
    loss: fc.double({ min: 0.01, max: 1, noNaN: true }),
  })
  const best = (points: readonly Point[], count: number): number => {
    // Every subset: what dynamic programming must not miss.
    const front = nondominated(points).map((i) => points[i])
    const reference = { joules: front[front.length - 1].joules, loss: front[0].loss }
    let most = Number.NEGATIVE_INFINITY
    for (let mask = 0; mask < 1 << front.length; mask++) {
      const picked = front.filter((_, i) => mask & (1 << i))
      if (picked.length > count || picked[0] !== front[0] || picked.at(-1) !== front.at(-1)) continue
      if (picked.some(({ joules }, i) => i > 0 && picked[i - 1].joules > (1 - spacing) * joules)) continue
      most = Math.max(most, hypervolume(picked, reference))
    }
    return most
  }
  fc.assert(
    fc.property(fc.array(point, { minLength: 1, maxLength: 9 }), fc.integer({ min: 2, max: 5 }), (some, count) => {
      const points = [...some, { joules: 1, loss: 0 }]
      const chosen = chooseLevels(points, count).map((i) => points[i])
      const least = best(points, count)
      if (least === Number.NEGATIVE_INFINITY) return chosen.length === 1
      const front = nondominated(points).map((i) => points[i])
      const reference = { joules: front[front.length - 1].joules, loss: front[0].loss }
      return Math.abs(hypervolume(chosen, reference) - least) < 1e-9
    }),
    { numRuns: 60 },
  )
})

/** Made-up losses that add up, for the pure parts. */
const layered = groupsOf({ ...openShape(), layers: 3 }, { quantisation: 'int4', block: 32 })
function openShape() {
  return {
    hiddenSize: 32,
    ffnSize: 256,
    layers: 2,
    heads: 4,
    kvHeads: 4,
    headSize: 8,
    vocabSize: 300,
    contextTokens: 96,
    normEpsilon: 1e-5,
    rotary: { inverseFrequencies: [1, 1, 1, 1], attentionFactor: 1 },
    tied: true,
    bosTokenId: 1,
    eosTokenIds: [2],
  }
}

t.test('elimination follows loss per joule, is nested, and goes on from any round as if never stopped', async (t) => {
  const cost = layered.all.map((_, i) => ((i * 7919) % 101) + 1)
  const gauge = {
    fluctuate: () => ({ errors: Float64Array.from(cost), means: noMeans({ ...openShape(), layers: 3 }, layered) }),
    divergences: (subnets: readonly Uint8Array[]) =>
      Float64Array.from(subnets, (subnet) => cost.reduce((sum, c, i) => sum + (subnet[i] === 1 ? 0 : c), 0) / 1000),
    joules: ({ bytes }: { bytes: number }) => bytes,
  }
  const options = { seed: 1, floorShare: 0.5, roundShare: 0.05, ablateShare: 0.25 }
  const start = { subnet: fullSubnet(layered), means: [] }
  const rounds = [...eliminate(layered, gauge, options, start, 1)]
  t.ok(rounds.length >= 5, `${rounds.length} rounds`)
  const links = rounds.flatMap((round) => round.links)
  const ratios = links.map(({ group }) => cost[group] / layered.all[group].bytes)
  const kinds = new Set(links.map(({ group }) => `${layered.all[group].layer} ${layered.all[group].kind}`))
  t.ok(kinds.size > 1)
  const free = ratios.slice(0, 8)
  t.same(
    free,
    [...free].sort((a, b) => a - b),
    'additive losses go in their order',
  )
  const resumed = [...eliminate(layered, gauge, options, rounds[2], 4)]
  t.same(
    resumed.flatMap((round) => round.links),
    rounds.slice(3).flatMap((round) => round.links),
  )
  const shares = [...subnetsOf(layered, links)].map((subnet) => bytesOf(layered, subnet) / layered.bytes)
  t.ok(shares.every((share, i) => i === 0 || share < shares[i - 1]))
  t.ok(shares[shares.length - 1] <= 0.5)
})

/** The choice of levels for some order of groups, evenly spaced along it. */
function someGates(seed: number, levels: number): GateProblem {
  const order = layered.all.map((_, i) => i).sort((a, b) => ((a * 7919 + seed) % 97) - ((b * 7919 + seed) % 97))
  const links = follow(layered, order, 0.45 * layered.bytes).map((group, i) => ({
    group,
    loss: (i + 1) / 1000,
    joules: layered.all[group].bytes,
    measured: true,
  }))
  const places = Array.from({ length: levels }, (_, k) => Math.round(((levels - 1 - k) * links.length) / (levels - 1)))
  return gateProblem({ groups: layered, links, places, allowed: [...links.keys()], fullJoules: layered.bytes })
}

/** Losses of which no sum of single groups tells: every pair of dropped groups of a layer costs something of its own. */
const entangled =
  (seed: number) =>
  (subnets: readonly Uint8Array[]): number[] =>
    subnets.map((subnet) => {
      const off = layered.all.flatMap((_, i) => (subnet[i] === 1 ? [] : [i]))
      const pairs = off.flatMap((a) => off.filter((b) => b > a).map((b) => ((a * 31 + b * 17 + seed) % 23) / 12000))
      return pairs.reduce((sum, pair) => sum + pair, 0)
    })

/** Nested, and no layer in more steps than it may have. */
function fits(subnets: readonly Uint8Array[]): boolean {
  const full = subnets.length - 1
  for (let layer = 0; layer < 3; layer++) {
    for (const [kind, count, most] of [
      ['mlp', 8, 3],
      ['heads', 4, 2],
    ] as const) {
      const own = subnets.map((subnet) =>
        Array.from({ length: count }, (_, i) => subnet[groupNumber(layered, layer, kind, i)]),
      )
      const sizes = own.map((on) => on.reduce((a, b) => a + b, 0))
      if (new Set(sizes).size > most || sizes[full] !== count) return false
      if (own.some((on, k) => k > 0 && own[k - 1].some((was, i) => was > on[i]))) return false
    }
  }
  return true
}

const chains = [fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 3, max: 6 })] as const

t.test('no layer gets more gates than it may have, whatever the chain', async () => {
  fc.assert(
    fc.property(...chains, (seed, levels) => {
      const problem = someGates(seed, levels)
      return fits(problem.subnets(problem.rounded)) && fits(problem.subnets(ascend(problem)))
    }),
    { numRuns: 20 },
  )
})

t.test('the search for levels gains what was measured, within the gates, and goes on from any round', async () => {
  fc.assert(
    fc.property(...chains, (seed, levels) => {
      const problem = someGates(seed, levels)
      const measure = entangled(seed)
      const worth = (counts: Counts): number => problem.worth(pointsOf(problem, counts, measure))
      const found = [...refine(problem, { counts: problem.rounded }, measure)]
      const steps = [worth(problem.rounded), ...found.map(({ counts }) => worth(counts))]
      const resumed = [...refine(problem, found[0], measure)]
      return (
        found.every(({ counts }) => fits(problem.subnets(counts))) &&
        steps.every((value, i) => i === 0 || value >= steps[i - 1]) &&
        steps[steps.length - 1] > steps[0] + 0.005 &&
        JSON.stringify(resumed) === JSON.stringify(found.slice(1))
      )
    }),
    { numRuns: 10 },
  )
})

t.test(
  'how much use is lost: the mean of both excesses, and only of the divergence where nothing is answered',
  async (t) => {
    const found = { kl: Float64Array.of(0, 2, 80), right: Float64Array.of(2, 1, 0) }
    const [none, some, all] = useLost(found, { right: 2, texts: 2, tokens: 10 })
    t.equal(none, 0)
    // 0.2 of 0.5 nats, and half of the answers where a tenth was the margin.
    t.ok(Math.abs(some - (0.4 + 1 + 0.1 * Math.log(5)) / 2) < 1e-12)
    t.ok(all > 1, 'beyond the margins it goes on rising')
    const [, unanswered] = useLost(found, { right: 0, texts: 2, tokens: 10 })
    t.ok(Math.abs(unanswered - 0.4) < 1e-12)
  },
)

t.test(
  'joules: a group saves what its bytes save at the clock of fewest joules; a calibration changes them',
  async (t) => {
    const full = { bytes: 1e6, weights: 2e6, kvBytesPerToken: 100 }
    const prior = tokenEnergy(energy, full, 200)
    t.equal(prior.asIf, 'llama-2-7b', 'a small model stands for a large one')
    t.ok(prior.joules(1e6) > prior.joules(0.5e6))
    t.ok(energy.board.gpu.pointsHz.includes(prior.gpuHz))
    const power = { ...energy.board.model, dramJoulesPerByte: 2 * energy.board.model.dramJoulesPerByte }
    t.ok(tokenEnergy({ ...energy, power }, full, 200).joules(1e6) > prior.joules(1e6))
    t.equal(tokenEnergy({ ...energy, asIf: 'none' }, full, 200).asIf, null)
  },
)

const questions = Array.from({ length: 12 }, (_, i) => ({
  system: 'the quick brown fox',
  messages: [
    { role: 'user', content: `hello world ${i}` },
    { role: 'assistant', content: ['jumps over', 'lazy dog', 'the quick'][i % 3] },
  ],
}))

function tiny(folder: string): { source: string; calibration: string } {
  mkdirSync(folder, { recursive: true })
  const source = writeCheckpoint(join(folder, 'hf'), tinyConfig, weights, 3)
  const calibration = join(folder, 'calibration.jsonl')
  writeFileSync(calibration, questions.map((line) => JSON.stringify(line)).join('\n'))
  return { source, calibration }
}

const small: Omit<PruneOptions, 'calibration'> = { energy, levels: 4, texts: 12, threads: 1, floorShare: 0.72 }

t.test('calibration text: answers behind their prompts, windows of plain text, and what cannot be used', async (t) => {
  const folder = t.testdir({})
  const { source, calibration } = tiny(folder)
  const checkpoint = openCheckpoint(source)
  const read = (path: string, count = 12) => readCalibrationText(path, checkpoint, folder, count, 1)
  const { samples } = read(calibration)
  t.equal(samples.length, 12)
  for (const { ids, ranges, answers } of samples) {
    t.ok(answers)
    t.ok(ranges.every(({ from, to }) => from > 0 && from < to && to < ids.length))
  }
  t.same(read(calibration), read(calibration), 'the same for the same seed')
  const plain = join(folder, 'plain.txt')
  writeFileSync(plain, 'the quick brown fox jumps over the lazy dog '.repeat(30))
  const windows = read(plain)
  t.ok(windows.samples.length >= 2)
  for (const { ids, ranges, answers } of windows.samples) {
    t.notOk(answers)
    t.same(ranges, [{ from: ids.length >> 1, to: ids.length - 1 }])
    t.ok(ids.length <= tinyConfig.context)
  }
  const bad = join(folder, 'bad.jsonl')
  writeFileSync(bad, '{"text": "the"}\n{"nothing": 1}\n')
  t.throws(() => read(bad), { code: 'calibration_text', message: /line 2/ })
  t.throws(() => read(join(folder, 'missing')), { code: 'calibration_text' })
})

t.test('a sharded checkpoint becomes a package whose levels are what was measured', async (t) => {
  const folder = t.testdir({})
  const { source, calibration } = tiny(folder)
  const out = join(folder, 'pruned')
  const pruned = await pruneCheckpoint(source, out, { ...small, calibration })
  const { manifest } = verifyPackage(out)
  t.same(manifest, pruned.manifest)
  t.equal(manifest.chunks.order, 'loss-per-joule')
  t.equal(manifest.pruning?.held_out_texts, 6)
  t.ok((manifest.pruning?.rounds ?? 0) >= 5)
  t.equal(manifest.levels.at(-1)?.loss, 0)
  t.ok(manifest.levels.slice(0, -1).every(({ loss }) => (loss ?? 0) > 0))
  t.equal(manifest.energy_priors?.joules_per_token.length, manifest.levels.length)
  const lines = readFileSync(join(out, logFile), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.equal(lines.filter(({ round }) => round !== undefined).length, manifest.pruning?.rounds)
  t.ok(lines.some(({ chain }) => chain === 0))
  t.ok(pruned.memory.floorBytes > 0 && pruned.memory.peakBytes >= pruned.memory.floorBytes)
})

t.test('rivals give nested levels at the shares they are told', async (t) => {
  const folder = t.testdir({})
  const { source, calibration } = tiny(folder)
  for (const method of ['flap', 'magnitude', 'random'] as const) {
    const out = join(folder, method)
    const { manifest } = await pruneCheckpoint(source, out, {
      ...small,
      calibration,
      method,
      floorShare: 0.5,
      shares: [0.6, 0.8, 1],
    })
    t.equal(manifest.chunks.order, method)
    t.equal(manifest.levels.length, 3)
    for (const [i, share] of [0.6, 0.8].entries())
      t.ok(Math.abs(manifest.levels[i].share - share) < 0.12, `${method} ${share}`)
    t.equal(manifest.pruning?.compensated, method === 'flap')
    t.equal(openPackage(out).id, method)
  }
})

t.test('after a kill the same call goes on and makes the same package', async (t) => {
  const folder = t.testdir({})
  const { source, calibration } = tiny(folder)
  const out = join(folder, 'pruned')
  const child = fork(new URL('./support/prune-child.ts', import.meta.url), [source, out, calibration], {
    stdio: 'inherit',
  })
  const [, signal] = await once(child, 'exit')
  t.equal(signal, 'SIGKILL')
  const state = join(folder, '.pruned.part', 'prune')
  t.ok(existsSync(join(state, 'round-2.json')), 'what was finished is there')
  t.notOk(existsSync(out))
  const steps: string[] = []
  const onStep = (_done: number, _total: number, what: string): number => steps.push(what)
  const resumed = await pruneCheckpoint(source, out, { ...small, calibration, onStep })
  const straight = await pruneCheckpoint(source, join(folder, 'straight'), { ...small, calibration })
  t.equal(
    steps.filter((what) => what.startsWith('%')).length,
    straight.rounds.length - 2,
    'finished rounds are not done again',
  )
  const content = (dir: string): unknown => {
    const manifest = JSON.parse(readFileSync(join(dir, manifestFile), 'utf8')) as Manifest
    return { ...manifest, created: null }
  }
  t.same(content(out), content(join(folder, 'straight')))
  t.equal(resumed.rounds.length, straight.rounds.length)
})
