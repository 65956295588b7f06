import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { findBoard } from '../src/board/boards/index.ts'
import { pruneCheckpoint } from '../src/compress/prune.ts'
import { bundledModelDir, modelsDir } from '../src/models/bundled.ts'
import { halfToFloat, toHalf } from '../src/models/half.ts'
import { importModel } from '../src/models/import.ts'
import { cutLevels, orderByNorm, orderGroups } from '../src/models/levels.ts'
import { decodeModel } from '../src/models/onnx/proto.ts'
import { listPackages, openPackage, verifyPackage } from '../src/models/package.ts'
import { dequantise, quantise } from '../src/models/quantise.ts'
import { syntheticShape } from '../src/models/synthetic/shapes.ts'
import { misfits } from './support/gpu-kernels.ts'
import { tinyConfig, tinyWeights, writeCheckpoint } from './support/tiny-llama.ts'

fc.configureGlobal({ seed: 20261123 })

const importTiny = async (t: Test, quantisation: 'int4' | 'int8' | 'none', levels = 3): Promise<string> => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1), 2)
  await importModel({ source, out: join(root, 'tiny'), quantisation, block: 128, levels })
  return join(root, 'tiny')
}

t.test('half precision is read as IEEE 754 says', async (t) => {
  const known: [number, number][] = [
    [0x3c00, 1],
    [0xc000, -2],
    [0x0001, 2 ** -24],
    [0x7bff, 65504],
    [0x0000, 0],
    [0x3555, 0.333251953125],
  ]
  for (const [half, value] of known) t.equal(halfToFloat(half), value)
  t.equal(halfToFloat(0x7c00), Number.POSITIVE_INFINITY)
  t.ok(Number.isNaN(halfToFloat(0x7e00)))
  for (let half = 0; half < 0x7c00; half++) {
    if (toHalf(halfToFloat(half)) !== half || toHalf(-halfToFloat(half)) !== (half | 0x8000)) t.fail(`half ${half}`)
  }
  const finite = fc.float({ min: -65504, max: 65504, noNaN: true })
  fc.assert(
    fc.property(finite, (value) => {
      const half = toHalf(value)
      const error = Math.abs(halfToFloat(half) - value)
      const neighbours = [half - 1, half + 1].filter((h) => (h & 0x7fff) < 0x7c00 && (h & 0x8000) === (half & 0x8000))
      return neighbours.every((h) => error <= Math.abs(halfToFloat(h) - value))
    }),
  )
  t.throws(() => toHalf(65520), { code: 'import_unsupported', message: /65520.*float16/ })
})

t.test(
  'rounding: the error of a weight is at most half a step of its block, or the searched scale was better',
  async (t) => {
    const matrix = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 70 })).chain(([rows, columns]) =>
      fc.tuple(
        fc.constant(rows),
        fc.constant(columns),
        fc.array(fc.float({ min: -8, max: 8, noNaN: true }), {
          minLength: rows * columns,
          maxLength: rows * columns,
        }),
      ),
    )
    fc.assert(
      fc.property(matrix, fc.constantFrom(4 as const, 8 as const), ([rows, columns, values], bits) => {
        const weights = Float32Array.from(values)
        const back = dequantise(quantise(weights, rows, columns, bits, 32))
        for (let row = 0; row < rows; row++) {
          for (let b = 0; b < columns; b += 32) {
            const range = Array.from({ length: Math.min(32, columns - b) }, (_, i) => row * columns + b + i)
            const largest = Math.max(...range.map((i) => Math.abs(weights[i])))
            const squares = range.reduce((sum, i) => sum + (weights[i] - back[i]) ** 2, 0)
            // The plain covering scale errs by half a step per weight, by one for the one that loses the sign race.
            const step = largest / 2 ** (bits - 1)
            if (squares > range.length * step ** 2 + 1e-9) return false
          }
        }
        return true
      }),
      { numRuns: 200 },
    )
    t.pass('200 matrices')
  },
)

t.test('levels are whole chunks and heads, nested, down to 42 % of the bytes, and end with everything', async (t) => {
  const int4 = { quantisation: 'int4', block: 128 } as const
  const llama = syntheticShape('llama-2-7b')
  const cut = cutLevels(llama, int4, 8)
  t.equal(cut.layers[0].widths.length, 8)
  t.equal(cut.chunkChannels, 128)
  const read = (level: number) => {
    const { hiddenSize: h, vocabSize } = llama
    const body = cut.layers.reduce(
      (sum, { widths, counts }) => sum + h * (3 * widths[level] + 2 * 128 * counts[level] + 2 * h) * (0.5 + 4 / 128),
      0,
    )
    return body + vocabSize * h * (1 + 4 / 128)
  }
  t.ok(read(0) / read(7) <= 0.42 && read(0) / read(7) > 0.4, `${read(0) / read(7)}`)
  for (let level = 1; level < 8; level++) {
    const step = (read(level) - read(level - 1)) / read(7)
    t.ok(step > 0.06 && step < 0.11, `level ${level} reads ${step} more: even steps`)
  }
  const sizes = fc.integer({ min: 1, max: 20_000 })
  const heads = fc.integer({ min: 1, max: 40 })
  const counts = fc.integer({ min: 1, max: 8 })
  fc.assert(
    fc.property(sizes, heads, counts, counts, (ffnSize, kvHeads, layers, levels) => {
      const shape = { ...llama, ffnSize, kvHeads, heads: kvHeads, layers }
      const { layers: cuts, chunkChannels } = cutLevels(shape, int4, levels)
      const many = cuts[0].widths.length
      const grows = (level: number) =>
        cuts.some(({ widths, counts }) => widths[level] > widths[level - 1] || counts[level] > counts[level - 1])
      const distinct = Array.from({ length: many - 1 }, (_, i) => grows(i + 1)).every(Boolean)
      return (
        distinct &&
        many <= levels &&
        cuts.every(({ widths, counts }) => {
          const nested = widths.every((w, i) => i === 0 || (w >= widths[i - 1] && counts[i] >= counts[i - 1]))
          const whole = widths.every((w) => w === ffnSize || (w > 0 && w % chunkChannels === 0))
          const gates = new Set(widths).size <= 3 && new Set(counts).size <= 2
          return nested && whole && gates && widths.at(-1) === ffnSize && counts.at(-1) === kvHeads
        })
      )
    }),
  )
})

t.test('channels are ordered by their weight norm', async (t) => {
  t.same([...orderByNorm(Float64Array.of(1, 25, 4), Float64Array.of(0, 0, 81), Float64Array.of(2, 0, 0))], [2, 1, 0])
  t.same([...orderGroups(Float64Array.of(1, 1, 2, 2), Float64Array.of(0, 0, 0, 1), 2)], [1, 0])
})

t.test('the graph has no control flow at all, and gates neither keys nor values', async (t) => {
  const dir = await importTiny(t, 'int4')
  for (const file of ['model.onnx', 'model.kv8.onnx']) {
    const { graph } = decodeModel(readFileSync(join(dir, file)))
    // Weights inside an If are neither saved prepacked nor mapped, and inside two they are not even prepacked (src/README.md).
    t.notOk(
      graph.node.some(({ attribute }) => attribute.some(({ g }) => g)),
      'no node holds a graph, so no If in an If',
    )
    const gates = graph.node.filter(({ opType, input }) => opType === 'Slice' && /^gate\./.test(input[2]))
    t.ok(gates.length >= tinyConfig.layers * 3, `${gates.length} gates`)
    const products = graph.node.filter(({ opType }) => opType === 'MatMulNBits')
    const ungated = (name: string) => products.find((n) => n.name === `${name}.out`)?.input[0]
    for (let i = 0; i < tinyConfig.layers; i++) t.equal(ungated(`layer.${i}.qkv`), `layer.${i}.input_norm`)
    t.equal(ungated('lm_head') ?? graph.node.at(-1)?.input[0], 'final_norm')
  }
})

t.test('every node of a float16 package is one that the CUDA and WebGPU kernels take', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1), 2)
  for (const quantisation of ['int4', 'none'] as const) {
    const out = join(root, quantisation)
    const manifest = await importModel({ source, out, quantisation, levels: 3, activations: 'float16' })
    t.equal(manifest.dtype, 'float16')
    t.notOk('model.kv8.onnx' in manifest.files)
    const { graph } = decodeModel(readFileSync(join(out, 'model.onnx')))
    t.same(misfits(graph, 'cuda'), [])
    t.same(misfits(graph, 'webgpu'), [])
  }
  const { graph } = decodeModel(readFileSync(join(await importTiny(t, 'int4'), 'model.onnx')))
  t.match(misfits(graph, 'cuda')[0], /GroupQueryAttention takes no float32/, 'the table can say no')
  t.same(misfits(graph, 'webgpu'), [])
  const rounded = decodeModel(readFileSync(join(await importTiny(t, 'int4'), 'model.kv8.onnx'))).graph
  t.not(misfits(rounded, 'webgpu').length, 0, 'keys and values in 8 bits are the CPU’s')
})

t.test('a package tells the truth about itself', async (t) => {
  const dir = await importTiny(t, 'int8')
  const { manifest, id, bytes } = verifyPackage(dir)
  t.equal(id, 'tiny')
  t.ok(bytes > manifest.files['model.onnx.data'].bytes)
  t.same(manifest.levels.map((l) => l.share).at(-1), 1)
  t.equal(manifest.levels.at(-1)?.loss, 0)
  t.ok(
    manifest.levels.slice(0, -1).every((l) => l.loss === null),
    'losses nobody measured are null',
  )
  const total = [...tinyWeights(tinyConfig, 1).values()].reduce((sum, { data }) => sum + data.length, 0)
  t.equal(manifest.shape.parameters, total)
})

t.test('importing twice never overwrites, and leaves nothing half-written', async (t) => {
  const dir = await importTiny(t, 'none')
  const source = join(dir, '..', 'hf')
  await t.rejects(importModel({ source, out: dir, quantisation: 'none', block: 32, levels: 1 }), {
    code: 'output_exists',
  })
  truncateSync(join(source, 'model-1.safetensors'), 2000)
  await t.rejects(importModel({ source, out: join(dir, '..', 'other'), quantisation: 'none', block: 32, levels: 1 }), {
    code: 'import_damaged',
  })
  t.same(
    listPackages(join(dir, '..')).map((p) => p.id),
    ['tiny'],
  )
})

t.test('what cannot be computed rightly is refused with a sentence', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, tinyWeights(tinyConfig, 1))
  const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8'))
  const cases: [object, RegExp][] = [
    [{ ...config, model_type: 'mistral' }, /model_type is "mistral"/],
    [{ ...config, rope_scaling: { type: 'linear' } }, /rope_scaling/],
    [{ ...config, hidden_act: 'gelu' }, /silu/],
    [{ ...config, attention_bias: true }, /attention_bias/],
    [{ ...config, hidden_size: 'wide' }, /hidden_size/],
    [{ ...config, vocab_size: 301 }, /301/],
  ]
  for (const [changed, message] of cases) {
    writeFileSync(join(source, 'config.json'), JSON.stringify(changed))
    await t.rejects(importModel({ source, out: join(root, 'out'), quantisation: 'none', block: 32, levels: 1 }), {
      message,
    })
  }
  writeFileSync(join(source, 'config.json'), '{"model_type":')
  await t.rejects(importModel({ source, out: join(root, 'out'), quantisation: 'none', block: 32, levels: 1 }), {
    code: 'import_damaged',
  })
  await t.rejects(importModel({ source: root, out: join(root, 'out'), quantisation: 'none', block: 32, levels: 1 }), {
    code: 'import_unsupported',
  })
})

t.test('damage to a package is named', async (t) => {
  t.throws(() => openPackage('/nowhere/at/all'), { code: 'package_missing' })
  const dir = await importTiny(t, 'int4')
  const data = join(dir, 'model.onnx.data')
  const bytes = readFileSync(data)
  bytes[1000] ^= 1
  writeFileSync(data, bytes)
  t.throws(() => verifyPackage(dir), { code: 'package_damaged', message: /model.onnx.data.*hash/ })
  truncateSync(data, 100)
  t.throws(() => openPackage(dir), { code: 'package_damaged', message: /100 bytes/ })
  const manifest = JSON.parse(readFileSync(join(dir, 'deapd-model.json'), 'utf8'))
  writeFileSync(
    join(dir, 'deapd-model.json'),
    JSON.stringify({ ...manifest, files: { '../x': { sha256: '', bytes: 0 } } }),
  )
  t.throws(() => openPackage(dir), { code: 'package_invalid', message: /not plain/ })
  writeFileSync(join(dir, 'deapd-model.json'), '{')
  t.throws(() => openPackage(dir), { code: 'package_invalid' })
})

t.test('the shipped package is what prune makes of the shipped checkpoint', async (t) => {
  const shipped = verifyPackage(bundledModelDir)
  const { weights, block } = shipped.manifest.quantisation
  const dir = t.testdir({ 'calibration.txt': 'What is the status of order 4821? '.repeat(200) })
  const [calibration, out] = [join(dir, 'calibration.txt'), join(dir, 'support-s')]
  const { manifest: made } = await pruneCheckpoint(join(modelsDir, 'support', 'checkpoint'), out, {
    calibration,
    method: 'trained',
    quantisation: weights,
    block,
    texts: 4,
    energy: { board: findBoard('agx-orin-64gb') },
    threads: 1,
  })
  t.same(made.chunks, shipped.manifest.chunks)
  t.same(made.shape, shipped.manifest.shape)
  for (const name of ['model.onnx', 'model.kv8.onnx', 'order.json', 'tokenizer.json', 'chat_template.jinja'])
    t.same(made.files[name], shipped.manifest.files[name], name)
  const [a, b] = [out, shipped.dir].map((dir) => readFileSync(join(dir, 'model.onnx.data')))
  // Cosines may differ in the last bit between versions of Node; weights may not differ at all, and they are nearly everything.
  const different = a.reduce((count, byte, i) => count + (byte === b[i] ? 0 : 1), 0)
  t.equal(a.length, b.length)
  t.ok(different < a.length / 1000, `${different} bytes differ`)
  t.ok(b.length <= 4e6, 'at most 4 MB of weights')
})
