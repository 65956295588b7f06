import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { modelCost } from '../src/daemon/costs.ts'
import { calibrateKv } from '../src/engine/calibrate.ts'
import { type Engine, type EngineAnswer, startEngine } from '../src/engine/client.ts'
import { largestFreeBlock, readHeadroom, requireBlocks, requireRoom } from '../src/engine/headroom.ts'
import { spansOver } from '../src/engine/kv-cache.ts'
import { chooseLevel, lowestCachedLevel } from '../src/engine/levels.ts'
import { openModel, type Sequence } from '../src/engine/model.ts'
import { libraryPath, loadOrt, type Ort } from '../src/engine/ort/api.ts'
import type { SessionOptions } from '../src/engine/ort/create.ts'
import { ownKernels, withOwnKernels } from '../src/engine/ort/own-kernels.ts'
import { describePlacement, parseProfile } from '../src/engine/ort/placement.ts'
import { cpuIdentity, prepacked } from '../src/engine/ort/prepacked.ts'
import { openOn, type ProviderName } from '../src/engine/ort/providers.ts'
import { openSession } from '../src/engine/ort/session.ts'
import { yieldCores } from '../src/engine/politeness.ts'
import { type GenerateRequest, greedy as plainGreedy, type Sampling } from '../src/engine/protocol.ts'
import { inPieces, widestTrueRun } from '../src/engine/prove.ts'
import { createSampler, logSum } from '../src/engine/sampler.ts'
import { stopFilter } from '../src/engine/stop.ts'
import { openTokenizer, streamDecoder } from '../src/engine/tokenizer.ts'
import { seededRandom } from '../src/evaluate/support/random.ts'
import { importModel } from '../src/models/import.ts'
import {
  decodeModel,
  elementType,
  encodeModel,
  type Graph,
  type Node,
  node,
  valueInfo,
} from '../src/models/onnx/proto.ts'
import type { Quantisation } from '../src/models/onnx/weights.ts'
import { openPackage, verifyPackage } from '../src/models/package.ts'
import { dequantise, type QuantisedMatrix, quantise } from '../src/models/quantise.ts'
import { storiesDir, withoutShared } from './support/shared.ts'
import { referenceLogits, type TinyConfig, tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

const ort = loadOrt()
const weights = tinyWeights(tinyConfig, 1)
const prompt = [1, 17, 203, 44, 90, 131, 8, 255, 44, 17, 60, 61]
const greedy: Sampling = { ...plainGreedy, maxTokens: 8, repeatLastN: 64 }

async function tinyPackage(
  t: Test,
  quantisation: Quantisation = 'none',
  levels = 3,
  config: TinyConfig = tinyConfig,
): Promise<string> {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), config, config === tinyConfig ? weights : tinyWeights(config, 1))
  await importModel({ source, out: join(root, 'tiny'), quantisation, block: 32, levels })
  return join(root, 'tiny')
}

interface Order {
  readonly channels: number[]
  readonly groups: number[]
}

const open = (dir: string) => openModel(ort, dir, openPackage(dir).manifest, 1)

/** Largest difference between the engine's logits and the reference's, relative to the reference's spread. */
function difference(logits: Float32Array, reference: readonly number[][]): number {
  const flat = reference.flat()
  const spread = Math.max(...flat) - Math.min(...flat)
  return Math.max(...flat.map((value, i) => Math.abs(value - logits[i]))) / spread
}

t.test('every function of the library that we call is the one we think it is', async (t) => {
  t.match(ort.version, /^1\.\d+\.\d+$/)
  t.throws(() => loadOrt('/nowhere/libonnxruntime.so'), { code: 'engine_library', message: /no such file/ })
  t.throws(
    () =>
      ort.create(
        'CreateSession',
        ort.create('CreateEnv', 3, 'test'),
        '/nowhere.onnx',
        ort.create('CreateSessionOptions'),
      ),
    { code: 'engine_failed' },
  )
  t.match(libraryPath(), process.arch)
})

t.test(
  'float weights: the graph computes what the definition says, at every level and however the prompt is cut',
  async (t) => {
    for (const config of [tinyConfig, { ...tinyConfig, heads: 2, kvHeads: 2, tied: false }]) {
      const dir = await tinyPackage(t, 'none', 3, config)
      const model = open(dir)
      const values = config === tinyConfig ? weights : tinyWeights(config, 1)
      const { widths, groups = [] } = model.manifest.chunks
      const order = JSON.parse(readFileSync(join(dir, 'order.json'), 'utf8')).layers as Order[]
      const upTo = (part: keyof Order, counts: number[][], level: number) =>
        order.map((layer, i) => layer[part].slice(0, counts[i][level]))
      t.ok(groups[0][0] < config.kvHeads && widths[0][0] < config.ffn, 'the smallest level gates heads and channels')
      for (const level of widths[0].keys()) {
        const kept = [upTo('channels', widths, level), upTo('groups', groups, level)].map((all) =>
          all.map((one) => prompt.map(() => one)),
        )
        const expected = referenceLogits(config, values, prompt, kept[0], kept[1])
        const whole = model.newSequence()
        t.ok(difference(whole.run(prompt, level, 0), expected) < 1e-5, `level ${level} in one run`)
        const pieces = model.newSequence()
        pieces.run(prompt.slice(0, 5), level, 4)
        for (const id of prompt.slice(5, -1)) pieces.run([id], level, 0)
        t.ok(
          difference(pieces.run(prompt.slice(-1), level, 0), expected.slice(-1)) < 1e-5,
          `level ${level} piece by piece`,
        )
        whole.close()
        pieces.close()
      }
      model.close()
    }
  },
)

/** A copy of a package whose gates are taken out of the graph. */
function ungated(dir: string): string {
  const copy = join(dir, '..', 'ungated')
  cpSync(dir, copy, { recursive: true })
  const { graph } = decodeModel(readFileSync(join(dir, 'model.onnx')))
  const gate = ({ opType, input }: Node) => opType === 'Slice' && input[2].startsWith('gate.')
  const nodes = graph.node.map((n) => (gate(n) ? node('Identity', [n.input[0]], n.output) : n))
  writeFileSync(join(copy, 'model.onnx'), encodeModel({ ...graph, node: nodes }))
  return copy
}

t.test('the full level of a gated graph equals the ungated graph exactly, before and after switching', async (t) => {
  for (const form of ['none', 'int8', 'int4'] as const) {
    const dir = await tinyPackage(t, form, 3)
    const gated = open(dir)
    const plain = openModel(ort, ungated(dir), openPackage(dir).manifest, 1)
    const whole = open(await tinyPackage(t, form, 1))
    const sequence = gated.newSequence()
    const before = sequence.run(prompt, 2, 0).slice()
    t.same(plain.newSequence().run(prompt, 0, 0), before, `${form}: bit-identical without gates`)
    for (const level of [0, 1, 0]) sequence.run([5], level, 0)
    sequence.truncate(0)
    t.same(sequence.run(prompt, 2, 0), before, `${form}: bit-identical after other levels ran`)
    // One level sums the whole MLP in one matrix product, three levels in three: float32 addition order, nothing else.
    const one = whole.newSequence().run(prompt, 0, 0)
    const apart = Math.max(...one.map((v, i) => Math.abs(v - before[i]))) / Math.max(...one.map(Math.abs))
    t.ok(apart < (form === 'none' ? 1e-5 : 0.02), `${form}: ${apart} from the model in one piece`)
    for (const model of [gated, plain, whole]) model.close()
  }
})

// The second context is long enough that attention takes all keys at once.
for (const context of [tinyConfig.context, 2048])
  t.test(
    `int8 keys and values stay near float32 ones, at every level and in a batch, context ${context}`,
    async (t) => {
      const dir = await tinyPackage(t, 'none', 3, { ...tinyConfig, context })
      const calibration = calibrateKv(ort, dir, 1)
      t.ok(calibration.kept && calibration.kl < 0.005, `${calibration.kl} nats`)
      t.equal(verifyPackage(dir).manifest.kv_scales, 'kv-scales.bin')
      const [rounded, exact] = [open(dir), openModel(ort, dir, openPackage(dir).manifest, 1, { kv: 'float32' })]
      t.same([rounded.kvType, exact.kvType], ['int8', 'float32'])
      t.equal(rounded.kvBytes * 4, exact.kvBytes)
      for (const level of [0, 1, 2]) {
        const [a, b] = [rounded, exact].map((model) => {
          const sequences = [model.newSequence(), model.newSequence()]
          for (const [i, sequence] of sequences.entries()) sequence.run(prompt.slice(i), level, 0)
          const rows = model.decodeBatch(sequences, [7, 70], level).map((row) => [...row])
          for (const sequence of sequences) sequence.close()
          return rows
        })
        t.ok(difference(Float32Array.from(a.flat()), b) < 0.02, `level ${level}`)
      }
      for (const model of [rounded, exact]) model.close()
    },
  )

/** A product of `rows` activations with a quantised matrix, as a graph; weights stay in it. */
function productGraph(matrix: QuantisedMatrix, bias: Float32Array | null): Graph {
  const { rows, columns, bits, block, data, scales } = matrix
  const blocks = Math.ceil(columns / block)
  const tensor = (name: string, type: 'uint8' | 'float32', dims: number[], values: Uint8Array | Float32Array) => ({
    name,
    dims,
    dataType: elementType[type],
    rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  })
  const attributes = { K: columns, N: rows, bits, block_size: block, accuracy_level: 4 }
  const inputs = ['x', 'codes', 'scales', ...(bias ? ['', '', 'bias'] : [])]
  return {
    name: 'product',
    node: [node('com.microsoft.MatMulNBits', inputs, ['y'], attributes)],
    initializer: [
      tensor('codes', 'uint8', [rows, blocks, (block * bits) / 8], data),
      tensor('scales', 'float32', [rows, blocks], scales),
      ...(bias ? [tensor('bias', 'float32', [rows], bias)] : []),
    ],
    input: [valueInfo('x', 'float32', ['batch', 'tokens', 'columns'])],
    output: [valueInfo('y', 'float32', ['batch', 'tokens', rows])],
  }
}

/** Runs [batch, tokens, columns] through a graph, in one session for all inputs. */
function runProduct(
  graph: Graph,
  options: SessionOptions,
  inputs: readonly (readonly [number, Float32Array])[],
  width: number,
) {
  const session = openSession(ort, { bytes: encodeModel(graph), folder: '.' }, 2, options)
  const outputs = inputs.map(([tokens, values]) => {
    const binding = session.bind()
    const y = new Float32Array(tokens * width)
    const columns = tokens === 0 ? width : values.length / tokens
    const tensors = [
      session.tensor('float32', [1, tokens, columns], values),
      session.tensor('float32', [1, tokens, width], y),
    ]
    binding.input('x', tensors[0])
    binding.output('y', tensors[1])
    try {
      binding.run()
    } finally {
      binding.close()
      for (const tensor of tensors) session.releaseTensor(tensor)
    }
    return y
  })
  session.close()
  return outputs
}

const lanes = ownKernels()
const withoutProducts = lanes.library === null && `no products of our own on this machine: ${lanes.why}`

t.test('our own products: every kind of block, any width, any number of rows', { skip: withoutProducts }, async (t) => {
  const random = seededRandom(7)
  const spread = (length: number) => Float32Array.from({ length }, () => random.int(-1000, 1000) / 2000)
  for (const bits of [4, 8] as const) {
    for (const block of [16, 32, 64, 128, 256]) {
      // Partial blocks, partial chunks of 64 bytes, widths that no tile divides.
      for (const [rows, columns] of [
        [37, 40],
        [16, 128],
        [21, 200],
        [530, 1100],
      ]) {
        const kind = `int${bits}, blocks of ${block}, ${rows} × ${columns}`
        const matrix = quantise(spread(rows * columns), rows, columns, bits, block)
        const dense = dequantise(matrix)
        const bias = block === 64 ? spread(rows) : null
        const graph = productGraph(matrix, bias)
        const x = spread(45 * columns)
        const sizes = [1, 2, 3, 7, 16, 17, 45]
        const inputs = sizes.map((tokens) => [tokens, x.slice(0, tokens * columns)] as const)
        const outputs = runProduct(withOwnKernels(graph, 2), { operators: lanes.library ?? '' }, inputs, rows)
        const [theirs] = runProduct(graph, {}, inputs.slice(-1), rows)
        const truth = (i: number): number => {
          const [m, n] = [Math.floor(i / rows), i % rows]
          let sum = bias?.[n] ?? 0
          for (let k = 0; k < columns; k++) sum += x[m * columns + k] * dense[n * columns + k]
          return sum
        }
        const errors = outputs[6].map((value, i) => value - truth(i))
        const rootMeanSquare = (values: Float32Array) =>
          Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length)
        t.ok(rootMeanSquare(errors) < 0.01 * rootMeanSquare(theirs), `${kind}: what int8 activations leave`)
        t.ok(
          rootMeanSquare(outputs[6].map((v, i) => v - theirs[i])) < 0.01 * rootMeanSquare(theirs),
          'as the runtime’s',
        )
        const asWords = (values: Float32Array) => new Int32Array(values.buffer)
        const whole = asWords(outputs[6])
        const alike = outputs.every((some) => asWords(some).every((value, i) => value === whole[i]))
        t.ok(alike, `${kind}: a row has the same bits in whatever company`)
      }
    }
  }
})

t.test(
  'our own products read nothing for no rows, and refuse what they do not know',
  { skip: withoutProducts },
  async (t) => {
    const matrix = quantise(new Float32Array(64 * 64).fill(1), 64, 64, 4, 32)
    const graph = withOwnKernels(productGraph(matrix, null), 1)
    const options = { operators: lanes.library ?? '' }
    t.same(runProduct(graph, options, [[0, new Float32Array(0)]], 64), [new Float32Array(0)])
    const [zeros] = runProduct(graph, options, [[1, new Float32Array(64)]], 64)
    t.same(zeros, new Float32Array(64), 'zeros have no scale')
    t.throws(() => runProduct(graph, options, [[1, new Float32Array(32)]], 64), { code: 'engine_failed' })
    const odd = {
      ...graph,
      node: graph.node.map((n) => ({
        ...n,
        attribute: n.attribute.map((a) => (a.name === 'bits' ? { ...a, i: 3 } : a)),
      })),
    }
    t.throws(() => runProduct(odd, options, [], 64), { code: 'engine_failed', message: /blocks of this kind/ })
  },
)

t.test('a package answers with our own operators as with the runtime’s', { skip: withoutProducts }, async (t) => {
  const dir = await tinyPackage(t, 'int4', 3)
  calibrateKv(ort, dir, 1)
  const { manifest } = openPackage(dir)
  // Longer than a block of attention, which has 64 positions.
  const long = Array.from({ length: 70 }, (_, i) => (i * 7919 + 3) % tinyConfig.vocab)
  const run = (products: 'own' | 'runtime', kv: 'float32' | 'int8') => {
    const model = openModel(ort, dir, manifest, 2, { products, kv })
    const [one, other] = [model.newSequence(), model.newSequence()]
    const rows = [2, 1, 0].map((level) => [...one.run(level === 2 ? long : prompt, level, 0)])
    other.run(prompt, 2, 0)
    for (const level of [2, 0]) rows.push(...model.decodeBatch([one, other], [7, 9], level).map((row) => [...row]))
    model.close()
    return { rows, weights: model.weights, kvBytes: model.kvBytes }
  }
  for (const kv of ['float32', 'int8'] as const) {
    const [own, theirs] = [run('own', kv), run('runtime', kv)]
    t.match(own.weights, /our own products/)
    t.match(theirs.weights, /packed at every start/)
    // A last bit can make a key fall on its other neighbour of eight bits, and then all after it differs by such a step.
    const most = kv === 'int8' ? 0.05 : 0.0001
    for (const [i, row] of own.rows.entries()) {
      t.ok(difference(Float32Array.from(row), [theirs.rows[i]]) < most, `${kv}, row ${i}`)
    }
  }
  const { kvBytesPerContextToken } = modelCost(manifest, 'none')
  t.equal(
    run('own', 'int8').kvBytes,
    kvBytesPerContextToken * manifest.shape.context_tokens,
    'bills count what is kept',
  )
  const leavesOut = (file: string): number =>
    withOwnKernels(decodeModel(readFileSync(join(dir, file))).graph, 1).node.filter(
      ({ opType, input }) => opType === 'Pad' && input.includes('left_out'),
    ).length
  t.equal(leavesOut('model.onnx'), 0, 'the runtime’s attention gets zeros')
  t.ok(leavesOut('model.kv8.onnx') > 0, 'ours is told which heads a level leaves out')
  process.env.DEAPD_PRODUCTS = 'runtime'
  t.match(run('own', 'int8').weights, /packed at every start/, 'the variable asks for the runtime’s')
  t.match(ownKernels(), { library: null, why: /DEAPD_PRODUCTS/ })
  delete process.env.DEAPD_PRODUCTS
})

t.test('our own attention refuses what would write elsewhere', { skip: withoutProducts }, async (t) => {
  const shapes = { q: [1, 1, 32], k: [1, 1, 16], v: [1, 1, 16], cos: [4, 8], sin: [4, 8], ks: [16], vs: [16] }
  const cache = [1, 1, 4, 16]
  const inputs = ['q', 'k', 'v', 'pk', 'pv', 'last', 'longest', 'cos', 'sin', '', '', '', 'ks', 'vs']
  const attention = node('com.microsoft.GroupQueryAttention', inputs, ['y', 'nk', 'nv'], {
    num_heads: 2,
    kv_num_heads: 1,
    scale: { float: 0.25 },
  })
  const graph = withOwnKernels(
    {
      name: 'attention',
      node: [attention],
      initializer: [],
      input: [
        ...Object.entries(shapes).map(([name, shape]) => valueInfo(name, 'float32', shape)),
        ...['pk', 'pv'].map((name) => valueInfo(name, 'int8', cache)),
        valueInfo('last', 'int32', [1]),
      ],
      output: [valueInfo('y', 'float32', [1, 1, 32]), ...['nk', 'nv'].map((name) => valueInfo(name, 'int8', cache))],
    },
    1,
  )
  const session = openSession(ort, { bytes: encodeModel(graph), folder: '.' }, 1, { operators: lanes.library ?? '' })
  const attend = (last: number, inPlace: boolean): Float32Array => {
    const binding = session.bind()
    const room = () => session.tensor('int8', cache, new Int8Array(64))
    const y = new Float32Array(32)
    for (const [name, shape] of Object.entries(shapes)) {
      const data = new Float32Array(shape.reduce((a, b) => a * b)).fill(1)
      binding.input(name, session.tensor('float32', shape, data))
    }
    for (const part of ['k', 'v']) {
      const kept = room()
      binding.input(`p${part}`, kept)
      binding.output(`n${part}`, inPlace ? kept : room())
    }
    binding.input('last', session.tensor('int32', [1], Int32Array.of(last)))
    binding.output('y', session.tensor('float32', [1, 1, 32], y))
    binding.run()
    return y
  }
  t.same(attend(0, true), new Float32Array(32).fill(1), 'one position is its value')
  t.throws(() => attend(4, true), { code: 'engine_failed', message: /no room/ })
  t.throws(() => attend(-1, true), { code: 'engine_failed', message: /no room/ })
  t.throws(() => attend(0, false), { code: 'engine_failed', message: /two memories/ })
  session.close()
})

t.test(
  'with our own operators a token is decided alike alone, in a draft, and after a prompt in any pieces',
  { skip: withoutProducts },
  async (t) => {
    const root = t.testdir({})
    const source = writeCheckpoint(join(root, 'hf'), tinyConfig, weights)
    const dir = join(root, 'wide')
    await importModel({ source, out: dir, quantisation: 'int4', block: 128, levels: 2 })
    // Attention over float32 keys and values is the runtime's, which adds up in another order for several rows.
    calibrateKv(ort, dir, 1)
    const model = openModel(ort, dir, openPackage(dir).manifest, 2)
    const bits = (values: Float32Array) => [...new Int32Array(Float32Array.from(values).buffer)]
    const sequence = model.newSequence()
    sequence.run(prompt, 1, 0)
    const draft = bits(sequence.run([7, 9, 200, 31], 1, 0))
    sequence.truncate(0)
    for (const piece of [prompt.slice(0, 5), prompt.slice(5)]) sequence.run(piece, 1, 0)
    const alone = [7, 9, 200, 31].flatMap((id) => bits(sequence.run([id], 1, 0)))
    t.equal(model.kvType, 'int8')
    t.same(alone, draft)
    model.close()
  },
)

t.test(
  'prepacked weights give the same answers, are found again, and are made anew when they do not fit',
  async (t) => {
    // Wide enough that some weights are large enough to be mapped and some are not.
    const wide = { ...tinyConfig, hidden: 128, ffn: 16_384, layers: 2 }
    const dir = await tinyPackage(t, 'int4', 2, wide)
    const { manifest } = openPackage(dir)
    const run = (prepack: 'always' | 'never') => {
      const model = openModel(ort, dir, manifest, 1, { products: 'runtime', prepack })
      const sequences = [model.newSequence(), model.newSequence()]
      const rows = [0, 1].map((level) => [...sequences[level].run(prompt, level, 0)])
      for (const level of [1, 0]) rows.push(...model.decodeBatch(sequences, [7, 9], level).map((row) => [...row]))
      model.close()
      return { rows, state: /(made|used):/.exec(model.weights)?.[1] }
    }
    const plain = run('never')
    t.same(run('always'), { rows: plain.rows, state: 'made' }, 'made')
    t.same(run('always'), { rows: plain.rows, state: 'used' })
    const [name] = readdirSync(join(dir, '.prepacked'))
    const data = join(dir, '.prepacked', name, 'model.onnx.prepacked')
    writeFileSync(data, readFileSync(data).fill(7, 0, 64))
    t.same(run('always'), { rows: plain.rows, state: 'made' }, 'a damaged one is made again')
    rmSync(data)
    t.same(run('always'), { rows: plain.rows, state: 'made' }, 'so is one that lost a file')
  },
)

t.test(
  'memory is asked for before it is taken: the kernel, control groups, and the numbers in a refusal',
  async (t) => {
    const gib = 2 ** 30
    const group = (limit: string) => ({
      'memory.max': limit,
      'memory.current': String(3 * gib),
      'memory.stat': `anon 5\ninactive_file ${gib}\n`,
    })
    const root = t.testdir({
      proc: {
        meminfo: `MemTotal: 9 kB\nMemAvailable:   ${8 * 1024 ** 2} kB\n`,
        buddyinfo: 'Node 0, zone      DMA      1      0      0\nNode 0, zone   Normal      9      3      2      0\n',
        self: { cgroup: '0::/system.slice/deapd.service\n' },
      },
      sys: { fs: { cgroup: { 'system.slice': { ...group('max'), 'deapd.service': group(String(6 * gib)) } } } },
    })
    t.same(readHeadroom(root), { availableBytes: 8 * gib, cgroupBytes: 4 * gib })
    t.equal(largestFreeBlock(root), 4096 * 4)
    t.doesNotThrow(() => requireRoom('a model', 3 * gib, readHeadroom(root)))
    t.throws(() => requireRoom('a model', 4 * gib, readHeadroom(root)), {
      code: 'memory_short',
      message: /a model: 4.29 GB .* 4.04 GB/,
    })
    t.doesNotThrow(() => requireBlocks('a model', 3 * gib, root), 'no Jetson: its pages may lie where they like')
    mkdirSync(join(root, 'proc/device-tree'))
    writeFileSync(join(root, 'proc/device-tree/compatible'), 'nvidia,p3701-0005\0nvidia,tegra234\0')
    t.throws(() => requireBlocks('a model', 3 * gib, root), {
      code: 'memory_short',
      message: /largest free block 16 KiB/,
    })
    writeFileSync(join(root, 'proc/buddyinfo'), 'Node 0, zone   Normal      9      3      2      0      0      1\n')
    t.doesNotThrow(() => requireBlocks('a model', 3 * gib, root))
    const unknown = readHeadroom(join(root, 'nowhere'))
    t.same([unknown, largestFreeBlock(join(root, 'nowhere'))], [{ availableBytes: null, cgroupBytes: null }, null])
    t.doesNotThrow(() => requireRoom('a model', 1e15, unknown), 'unknown is not zero')
  },
)

t.test('a prepacked cache is keyed, atomic, and never in the way', async (t) => {
  const dir = t.testdir({ package: {}, cache: {}, file: '' })
  const key = { model: 'a', runtime: '1.30.0', cpu: 'x' }
  const make = (folder: string) => {
    writeFileSync(join(folder, 'graph.onnx'), 'graph')
    writeFileSync(join(folder, 'graph.onnx.prepacked'), 'weights')
  }
  const options = { dir: join(dir, 'package'), fallback: join(dir, 'cache'), weightBytes: 8, key, make }
  const state = (over: object) => prepacked({ ...options, ...over }).state
  t.same([state({}), state({})], ['made', 'used'])
  for (const part of ['model', 'runtime', 'cpu']) t.equal(state({ key: { ...key, [part]: 'other' } }), 'made', part)
  t.equal(readdirSync(join(dir, 'package', '.prepacked')).length, 1, 'the caches of other keys are gone')
  t.match(prepacked({ ...options, key: { ...key, cpu: 'y' }, weightBytes: 1e18 }), {
    home: null,
    state: 'unavailable',
    detail: /MB free and needs/,
  })
  const full = () => {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  }
  t.match(prepacked({ ...options, key: { ...key, cpu: 'z' }, make: full }), { home: null, detail: /ENOSPC/ })
  t.same(readdirSync(join(dir, 'package', '.prepacked')), [], 'nothing half made stays')
  const beside = prepacked({ ...options, dir: '/proc/self' })
  t.ok(beside.state === 'made' && beside.home?.startsWith(join(dir, 'cache')), 'a package that cannot be written')
  t.match(
    prepacked({ ...options, dir: '/proc/self', key: { ...key, cpu: 'w' }, fallback: join(dir, 'file') }).home,
    null,
  )
  t.not(cpuIdentity('flags : avx2'), cpuIdentity('flags : avx2 avx512f'))
})

t.test('a switch of level between any two tokens leaves the cache valid', async (t) => {
  const dir = await tinyPackage(t, 'none', 3)
  const model = open(dir)
  const order = JSON.parse(readFileSync(join(dir, 'order.json'), 'utf8')).layers as Order[]
  const { widths, groups = [] } = model.manifest.chunks
  // Keys and values of a position depend on the level it ran at, so the reference runs each position at its own.
  const levels = prompt.map((_, i) => [2, 0, 1, 2, 2, 0][i % 6])
  const at = (part: keyof Order, counts: number[][]) =>
    order.map((layer, i) => levels.map((level) => layer[part].slice(0, counts[i][level])))
  const expected = referenceLogits(tinyConfig, weights, prompt, at('channels', widths), at('groups', groups))
  const sequence = model.newSequence()
  for (const [i, id] of prompt.entries()) {
    t.ok(difference(sequence.run([id], levels[i], 0), [expected[i]]) < 1e-5, `token ${i} at level ${levels[i]}`)
  }
  model.close()
})

t.test('sequences decode together as they do alone, with idle and full neighbours between them', async (t) => {
  const model = open(await tinyPackage(t, 'int8'))
  const start = (ids: readonly number[]) => {
    const sequence = model.newSequence()
    sequence.run(ids, 2, ids.length - 1)
    return sequence
  }
  const full = Array.from({ length: model.contextTokens }, (_, i) => (i * 31) % 300)
  const [a, idle, b, blocked, c] = [prompt, [1, 9, 9], prompt.slice(0, 4), full, [1]].map(start)
  t.throws(() => model.newSequence(), { code: 'engine_failed', message: /all 5 caches/ })
  const tokens = [7, 70, 170]
  const alone = [a, b, c].map((sequence, i) => {
    const row = sequence.run([tokens[i]], 1, 0).slice()
    sequence.truncate(sequence.length - 1)
    return row
  })
  const idleBefore = idle.run([4], 2, 0).slice()
  idle.truncate(3)
  const together = model.decodeBatch([c, a, b], [tokens[2], tokens[0], tokens[1]], 1)
  for (const [i, row] of [together[1], together[2], together[0]].entries()) {
    t.ok(Math.max(...row.map((v, j) => Math.abs(v - alone[i][j]))) < 1e-3, `sequence ${i}`)
  }
  t.same(
    [a, b, c, idle, blocked].map((s) => s.length),
    [13, 5, 2, 3, model.contextTokens],
  )
  t.same(idle.run([4], 2, 0), idleBefore, 'an idle neighbour is none the worse')
  idle.close()
  t.equal(model.newSequence().slot, 1, 'a closed sequence frees its slot')
  model.close()
})

t.test('a batch runs over the fewest spans of slots', async (t) => {
  const never = () => false
  t.same(spansOver([3, 1], never), [{ from: 1, count: 3 }])
  t.same(
    spansOver([0, 1, 4], (slot) => slot === 2),
    [
      { from: 0, count: 2 },
      { from: 4, count: 1 },
    ],
  )
  t.same(spansOver([], never), [])
})

t.test('rounded weights stay near the float model, int8 nearer than int4', async (t) => {
  const expected = referenceLogits(tinyConfig, weights, prompt)
  const errors: number[] = []
  for (const form of ['int8', 'int4'] as const) {
    const model = open(await tinyPackage(t, form))
    errors.push(difference(model.newSequence().run(prompt, 2, 0), expected))
    model.close()
  }
  t.ok(errors[0] < 0.05, `int8 ${errors[0]}`)
  t.ok(errors[1] < 0.25 && errors[1] > errors[0], `int4 ${errors[1]}`)
})

t.test('sampling is what it says', async (t) => {
  const logits = Float32Array.of(1, 3, 2, -1)
  const pick = (over: object, n = 2000) => {
    const sample = createSampler({ ...greedy, seed: 5, ...over }).next
    const counts = [0, 0, 0, 0]
    for (let i = 0; i < n; i++) counts[sample(logits).tokenId]++
    return counts
  }
  t.same(pick({}), [0, 2000, 0, 0], 'temperature 0 is greedy')
  const expected = [...logits].map((logit) => Math.exp(logit - logSum(logits)) * 2000)
  t.ok(
    pick({ temperature: 1 }).every((count, i) => Math.abs(count - expected[i]) < 5 * Math.sqrt(expected[i] + 1)),
    'frequencies follow the softmax',
  )
  t.same(pick({ temperature: 1, topK: 1 }), [0, 2000, 0, 0])
  t.same(pick({ temperature: 1, topP: 0.5 }), [0, 2000, 0, 0], 'the first candidate already holds half of the mass')
  t.same(pick({ temperature: 1, minP: 0.3 }).filter((n) => n > 0).length, 2)
  t.same(pick({ temperature: 1, seed: 9 }), pick({ temperature: 1, seed: 9 }), 'the seed decides')
  const penalised = createSampler({ ...greedy, presencePenalty: 2 }).next
  t.same([penalised(logits).tokenId, penalised(logits).tokenId], [1, 2], 'a token already used is pushed back')
  const { logprob, top } = createSampler({ ...greedy, topLogprobs: 2 }).next(logits)
  t.same(
    top?.map((x) => x.tokenId),
    [1, 2],
  )
  t.equal(logprob, top?.[0].logprob)
})

t.test('stop strings are found over token borders and never shown', async (t) => {
  const filter = stopFilter(['END', '\n\n'])
  t.same(filter.push('one E'), { text: 'one ', stopped: false })
  t.same(filter.push('ND two'), { text: '', stopped: true })
  const other = stopFilter(['END'])
  t.same([other.push('EN').text, other.push('joy').text, other.flush()], ['', 'ENjoy', ''])
  const held = stopFilter(['END'])
  held.push('the EN')
  t.equal(held.flush(), 'EN', 'what was held back comes out when the answer ends otherwise')
})

t.test('text survives the tokenizer, token by token, with no broken character in between', async (t) => {
  const dir = await tinyPackage(t)
  const tokenizer = openTokenizer(dir)
  for (const text of [
    'hello world',
    'héllo 😀 wörld',
    '日本語 テキスト',
    '  two  spaces',
    'tab\tand\nnewline',
    '\u0000\u0007',
    '👩‍👩‍👧',
  ]) {
    const ids = tokenizer.encode(text)
    t.equal(tokenizer.decode(ids), text)
    const decoder = streamDecoder(tokenizer)
    const parts = ids.map(decoder.push)
    t.equal(parts.join('') + decoder.end(), text)
    t.notOk(parts.some((part) => part.includes('\uFFFD')))
  }
  const long = 'the quick brown fox jumps over the lazy dog 😀 '.repeat(2200)
  t.equal(tokenizer.decode(tokenizer.encode(long)), long, '100 kB')
})

t.test('policies choose levels, and only a brown-out degrades', async (t) => {
  const eco = { capLevel: 2, ecoLevel: 0 }
  const choose = (policy: GenerateRequest['policy'], level: number | null, routed: number | null = null, order = eco) =>
    chooseLevel({ policy, level }, 2, order, routed)
  t.same(choose('exact', null), { level: 2, degraded: false })
  t.same(choose('balanced', null), { level: 2, degraded: false }, 'without a certificate balanced is full')
  t.same(choose('balanced', null, 1), { level: 1, degraded: false }, 'with one it goes where its router sends it')
  t.same(
    choose('balanced', null, 1, { capLevel: 0, ecoLevel: 0 }),
    { level: 0, degraded: true },
    'the governor is above',
  )
  t.same(choose('eco', null), { level: 0, degraded: false })
  t.same(choose('eco', null, 1), { level: 1, degraded: false })
  t.same(choose('eco', null, 1, { capLevel: 0, ecoLevel: 0 }), { level: 0, degraded: false }, 'eco allows any level')
  t.same(choose('exact', 1), { level: 1, degraded: false }, 'a pinned level is the caller’s own choice')
  t.same(choose('exact', null, null, { capLevel: 1, ecoLevel: 0 }), { level: 1, degraded: true })
  const cached = (policy: GenerateRequest['policy'], level: number | null) => lowestCachedLevel({ policy, level }, 2)
  t.same([cached('balanced', null), cached('exact', null), cached('eco', null), cached('eco', 1)], [2, 2, 0, 1])
})

async function collect(answers: AsyncIterable<EngineAnswer>) {
  const all: EngineAnswer[] = []
  for await (const answer of answers) all.push(answer)
  const done = all.at(-1)
  if (done?.type !== 'done') throw new Error('the answer did not end')
  return {
    done,
    ids: all.flatMap((a) => (a.type === 'token' ? [a.tokenId] : [])),
    text: all.map((a) => (a.type === 'token' ? a.text : '')).join(''),
  }
}

async function engineFor(t: Test, dir: string, over: Partial<Parameters<typeof startEngine>[0]> = {}): Promise<Engine> {
  const { manifest } = openPackage(dir)
  const engine = startEngine({
    modelDir: dir,
    manifest,
    threads: 1,
    maxSequences: 2,
    maxQueued: 2,
    restart: true,
    ...over,
  })
  t.teardown(() => engine.close())
  await engine.ready()
  return engine
}

const request = (id: string, over: Partial<GenerateRequest> = {}): GenerateRequest => ({
  id,
  input: { ids: prompt },
  sampling: greedy,
  policy: 'exact',
  level: null,
  maxJoules: null,
  ...over,
})
const never = new AbortController().signal

t.test('the engine process answers, alone and together, the same', async (t) => {
  const steps: number[] = []
  const engine = await engineFor(t, await tinyPackage(t), {
    onStep: (step) => steps.push(...step.parts.map((part) => part.tokens)),
  })
  const alone = await collect(engine.generate(request('a'), never))
  t.equal(alone.done.finishReason, 'length')
  t.equal(alone.done.completionTokens, 8)
  t.same(alone.done.levels, { 2: 8 })
  t.equal(
    steps.reduce((a, b) => a + b),
    prompt.length + 7,
    'each prompt token once, each answer token but the last once',
  )
  const together = await Promise.all(['b', 'c', 'd'].map((id) => collect(engine.generate(request(id), never))))
  for (const { ids } of together) t.same(ids, alone.ids)
  const low = await collect(engine.generate(request('e', { level: 0 }), never))
  t.same(low.done.levels, { 0: 7, 2: 1 }, 'the first token comes from the prompt, which always runs at the full level')
  t.same((await collect(engine.generate(request('f', { sampling: { ...greedy, maxTokens: 0 } }), never))).ids, [])
})

t.test('bad requests fail alone and clearly', async (t) => {
  const engine = await engineFor(t, await tinyPackage(t))
  const refused = async (over: Partial<GenerateRequest>, code: string) =>
    t.rejects(collect(engine.generate(request(code, over), never)), { code })
  await refused({ input: { ids: Array.from({ length: 96 }, () => 5) } }, 'context_length_exceeded')
  await refused({ level: 7 }, 'level_unknown')
  await refused({ input: { ids: [1, 99_999] } }, 'bad_request')
  const limits = ['a', 'b', 'c', 'd', 'e'].map((id) => collect(engine.generate(request(id), never)))
  const outcomes = await Promise.allSettled(limits)
  t.ok(
    outcomes.some((o) => o.status === 'rejected' && o.reason.code === 'queue_full'),
    'the queue has a bound',
  )
  t.equal((await collect(engine.generate(request('after'), never))).done.finishReason, 'length')
})

t.test('a cancelled request frees its place at once', async (t) => {
  const engine = await engineFor(t, await tinyPackage(t), { maxSequences: 1 })
  engine.setPace({ hostSeconds: 0, weightSeconds: [1, 1, 1], kvSecondsPerToken: 0, arithmeticSecondsPerToken: [] })
  const abort = new AbortController()
  const slow = (async () => {
    for await (const answer of engine.generate(request('slow'), abort.signal)) {
      if (answer.type === 'token') abort.abort()
      if (answer.type === 'done') return answer
    }
    return undefined
  })()
  const waiting = collect(engine.generate(request('waiting', { sampling: { ...greedy, maxTokens: 1 } }), never))
  t.equal((await slow)?.finishReason, 'cancelled')
  t.equal((await waiting).done.finishReason, 'length', 'the one behind it did not wait for the whole answer')
})

t.test('a killed engine ends its answers with an error and comes back', async (t) => {
  const engine = await engineFor(t, await tinyPackage(t))
  engine.setPace({
    hostSeconds: 0,
    weightSeconds: [0.05, 0.05, 0.05],
    kvSecondsPerToken: 0,
    arithmeticSecondsPerToken: [],
  })
  const { pid } = engine.status()
  const lost = (async () => {
    for await (const answer of engine.generate(request('lost'), never)) {
      if (answer.type === 'token') process.kill(Number(pid), 'SIGKILL')
    }
  })()
  await t.rejects(lost, { code: 'engine_lost', message: /SIGKILL/ })
  await engine.ready()
  t.not(engine.status().pid, pid)
  t.equal(engine.status().restarts, 1)
  t.equal((await collect(engine.generate(request('again'), never))).done.completionTokens, 8)
})

t.test('a package that cannot be loaded is a clear failure, not a loop', async (t) => {
  const dir = await tinyPackage(t)
  const { manifest } = openPackage(dir)
  const engine = startEngine({
    modelDir: '/nowhere',
    manifest,
    threads: 1,
    maxSequences: 1,
    maxQueued: 1,
    restart: true,
  })
  await t.rejects(engine.ready(), { code: 'package_missing' })
  t.equal(engine.status().state, 'failed')
  await engine.close()
})

t.test('stories260k: a real trained model, token for token', { skip: withoutShared }, async (t) => {
  const reference = JSON.parse(readFileSync(join(storiesDir, 'reference.json'), 'utf8'))
  const root = t.testdir({})
  const load = async (form: Quantisation) => {
    await importModel({ source: storiesDir, out: join(root, form), quantisation: form, block: 128, levels: 4 })
    return engineFor(t, join(root, form))
  }
  const float = await load('none')
  for (const { prompt, prompt_ids, ids, text } of reference.greedy) {
    const sampling = { ...greedy, maxTokens: ids.length }
    const answer = await collect(float.generate(request(prompt, { input: { prompt }, sampling }), never))
    t.same(answer.done.promptIds, prompt_ids)
    t.same(answer.ids, ids)
    t.equal(prompt + answer.text, text)
  }
  for (const [engine, tolerance] of [
    [float, 0.001],
    [await load('int8'), 0.02],
  ] as const) {
    for (const { text, mean_nll } of reference.nll) {
      const { meanNll } = await engine.score(text, null)
      t.ok(Math.abs(meanNll - mean_nll) < tolerance, `${meanNll} against ${mean_nll}`)
    }
  }
})

/** A sequence whose logits say which tokens went before; runs of `lost` tokens and more forget those beyond the fourth. */
function forgetful(lost: number, rounding = 0): Sequence & { widths: number[] } {
  let seen: number[] = []
  const widths: number[] = []
  return {
    widths,
    slot: 0,
    get length() {
      return seen.length
    },
    run(ids, _level, logitsFrom) {
      widths.push(ids.length)
      const before = seen
      seen = [...before, ...ids]
      const rows = ids.slice(logitsFrom).map((_, i) => {
        const past = seen.slice(0, before.length + logitsFrom + i + 1)
        const read = ids.length >= lost ? past.slice(0, 4) : past
        const sum = read.reduce((a, b) => a + b, 0)
        return [Math.sin(sum) + rounding * ids.length, Math.cos(sum), Math.sin(2 * sum)]
      })
      return Float32Array.from(rows.flat())
    },
    truncate: (length) => {
      seen = seen.slice(0, length)
    },
    fill: () => undefined,
    copyFrom: () => undefined,
    magnitudes: () => new Float32Array(),
    close: () => undefined,
  }
}

t.test('a provider is given as many tokens at once as it was seen to compute rightly', async (t) => {
  const none = Number.POSITIVE_INFINITY
  t.equal(widestTrueRun(forgetful(none), 0), 64, 'what was not tried is not run')
  t.equal(widestTrueRun(forgetful(32), 0), 16)
  t.equal(widestTrueRun(forgetful(17), 0), 16)
  t.equal(widestTrueRun(forgetful(64), 0), 32)
  t.equal(widestTrueRun(forgetful(65), 0), 64)
  t.equal(widestTrueRun(forgetful(32, 1e-5), 0), 16, 'rounding is no finding')
  t.equal(widestTrueRun(forgetful(none, Number.NaN), 0), 1, 'what is no number is like nothing')
  t.equal(widestTrueRun(forgetful(none), 0, 40), 32, 'a short context')
  const tried = forgetful(32)
  widestTrueRun(tried, 0)
  t.equal(tried.length, 0)

  for (const [length, width, from] of [
    [70, 16, 0],
    [70, 16, 69],
    [33, 16, 15],
    [33, 16, 16],
    [32, 16, 31],
    [7, 1, 3],
  ]) {
    const ids = Array.from({ length }, (_, i) => i + 1)
    const sequence = forgetful(none)
    const rows = inPieces(ids, width, from, (piece, first) => sequence.run(piece, 0, first))
    t.same([...rows], [...forgetful(none).run(ids, 0, from)], `${length} tokens by ${width}, from ${from}`)
    t.equal(Math.max(...sequence.widths), Math.min(width, length))
  }
})

t.test('a provider is chosen by what the package holds and the library has, and never assumed', async (t) => {
  const library = (...built: string[]): Ort => ({ ...ort, providers: () => built })
  const all = library('CUDAExecutionProvider', 'WebGpuExecutionProvider', 'CPUExecutionProvider')
  const bare = library('CPUExecutionProvider')
  const open = (name: ProviderName): ProviderName => name
  const noDriver = (name: ProviderName): ProviderName => {
    if (name === 'cuda') throw new Error('no CUDA driver')
    return name
  }
  t.equal(openOn(all, 'auto', 'float16', open).provider, 'cuda')
  t.equal(openOn(all, 'auto', 'float32', open).provider, 'cpu')
  t.equal(openOn(bare, 'auto', 'float16', open).provider, 'cpu')
  t.match(openOn(all, 'auto', 'float16', noDriver), { provider: 'cpu', refused: 'no CUDA driver' })
  t.throws(() => openOn(all, 'cuda', 'float16', noDriver), /no CUDA driver/)
  t.throws(() => openOn(all, 'cuda', 'float32', open), { code: 'provider_dtype', message: /float32.*float16/ })
  t.throws(() => openOn(bare, 'webgpu', 'float32', open), { code: 'provider_missing', message: /has: cpu/ })
})

t.test(
  'all threads of the process become polite, those that are older than it too',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const politer = getPriority() + 1
    yieldCores(politer)
    const threads = readdirSync('/proc/self/task').map(Number)
    t.ok(threads.length > 1, 'the runtime has threads of its own')
    // The call that asks for long slices sets the politeness too, which can be read back.
    for (const thread of threads) t.equal(getPriority(thread), politer)
  },
)

t.test('a profile shows who ran what, and heavy work on the wrong side is refused', async (t) => {
  const event = (provider: string, op: string, name = `${op}_kernel_time`) => ({
    cat: 'Node',
    name,
    args: { provider, op_name: op },
  })
  const gpu = 'WebGpuExecutionProvider'
  const cpu = 'CPUExecutionProvider'
  const profile = (...events: object[]): ReturnType<typeof parseProfile> =>
    parseProfile(JSON.stringify([{ cat: 'Session', name: 'model_run', args: {} }, ...events]))
  const sound = profile(
    event(gpu, 'MatMulNBits'),
    event(gpu, 'MatMulNBits'),
    event(gpu, 'MatMulNBits', 'MatMulNBits_fence_before'),
    event(gpu, 'GroupQueryAttention'),
    event(cpu, 'Slice'),
    event(cpu, 'MemcpyToHost'),
  )
  t.same(sound, { [gpu]: { MatMulNBits: 2, GroupQueryAttention: 1 }, [cpu]: { Slice: 1, MemcpyToHost: 1 } })
  t.equal(describePlacement(sound, 'webgpu'), 'webgpu (3 of 5 kernels a token, 1 copies)')
  t.throws(() => describePlacement(profile(event(gpu, 'Add'), event(cpu, 'MatMulNBits')), 'webgpu'), {
    code: 'provider_fallback',
    message: /MatMulNBits/,
  })
  t.throws(() => describePlacement({}, 'webgpu'), { code: 'provider_fallback' }, 'nothing seen is nothing proven')
})

t.test('a float16 package computes the same, to float16, at every level', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, weights)
  const [exact, half] = await Promise.all(
    (['float32', 'float16'] as const).map(async (activations) => {
      const out = join(root, activations)
      await importModel({ source, out, quantisation: 'none', levels: 3, activations })
      return open(out)
    }),
  )
  t.equal(half.kvBytes * 2, exact.kvBytes)
  const [a, b] = [exact.newSequence(), half.newSequence()]
  for (let level = 0; level < exact.levels; level++) {
    const expected = [...a.run(prompt, level, 0)]
    t.ok(difference(b.run(prompt, level, 0), [expected]) < 0.02, `level ${level}`)
  }
  exact.close()
  half.close()
})
