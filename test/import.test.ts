import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { DeapdError } from '../src/errors.ts'
import { type ImportOptions, importModel } from '../src/models/import.ts'
import { listPackages, verifyPackage } from '../src/models/package.ts'
import { checkRoom } from '../src/models/pipeline/workspace.ts'
import { dequantise, quantise } from '../src/models/quantise.ts'
import { dtypes } from '../src/models/source/dtypes.ts'
import { openCheckpoint } from '../src/models/source/open.ts'
import { rotaryFor } from '../src/models/source/rope.ts'
import { bench, ggufMetadata, writeTinyGguf } from './support/tiny-gguf.ts'
import { tinyConfig, tinyWeights, type Weights, writeCheckpoint } from './support/tiny-llama.ts'

fc.configureGlobal({ seed: 20261124 })

const weights = tinyWeights(tinyConfig, 1)
const rounded = (round: (value: number) => number): Weights =>
  new Map([...weights].map(([name, { shape, data }]) => [name, { shape, data: data.map(round) }]))
const bits = new Uint32Array(1)
const asFloat = new Float32Array(bits.buffer)
const toBf16 = (value: number): number => {
  asFloat[0] = value
  bits[0] &= 0xffff0000
  return asFloat[0]
}
/** Exact in half precision for |value| < 8. */
const toEighths = (value: number): number => Math.round(value * 256) / 256

const importTo = async (source: string, out: string, more: Partial<ImportOptions> = {}): Promise<Buffer> => {
  await importModel({ source, out, quantisation: 'int4', block: 32, levels: 3, ...more })
  return readFileSync(join(out, 'model.onnx.data'))
}

t.test('the same weights give the same package, whatever form they come in', async (t) => {
  const { toF16 } = await bench('ggml-blocks.mjs')
  const upperHalves = (data: Float32Array) => Uint16Array.from(new Uint32Array(data.slice().buffer), (b) => b >>> 16)
  for (const [type, values, encode] of [
    ['F32', weights, (data: Float32Array) => data],
    ['BF16', rounded(toBf16), upperHalves],
    ['F16', rounded(toEighths), toF16],
  ] as const) {
    const root = t.testdir({})
    const plain = writeCheckpoint(join(root, 'hf'), tinyConfig, values)
    const stored = writeCheckpoint(join(root, 'hf2'), tinyConfig, values, 3, { dtype: type, encode })
    const gguf = await writeTinyGguf(join(root, 'tiny'), tinyConfig, values, { type })
    const split = await writeTinyGguf(join(root, 'split'), tinyConfig, values, { type, shards: 2 })
    const expected = await importTo(plain, join(root, 'a'))
    const graph = readFileSync(join(root, 'a', 'model.onnx'))
    for (const [i, source] of [stored, gguf, split].entries()) {
      t.ok(expected.equals(await importTo(source, join(root, `b${i}`))), `${type}, ${source.slice(root.length + 1)}`)
      t.ok(graph.equals(readFileSync(join(root, `b${i}`, 'model.onnx'))))
    }
  }
})

t.test('worker threads and this thread write the same bytes', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, weights)
  for (const quantisation of ['int8', 'none'] as const) {
    const alone = await importTo(source, join(root, `alone-${quantisation}`), { quantisation, threads: 0 })
    const together = await importTo(source, join(root, `together-${quantisation}`), { quantisation, threads: 2 })
    t.ok(alone.equals(together), quantisation)
  }
  const broken = rounded((value) => value)
  broken.get('model.layers.1.mlp.up_proj.weight')?.data.fill(Number.NaN, 40, 41)
  const bad = writeCheckpoint(join(root, 'bad'), tinyConfig, broken)
  await t.rejects(importTo(bad, join(root, 'x'), { threads: 2 }), {
    code: 'import_damaged',
    message: /layers\.1\.mlp\.up_proj\.weight\[1, 8\] is NaN/,
  })
  t.same(readdirSync(root).sort(), ['alone-int8', 'alone-none', 'bad', 'hf', 'together-int8', 'together-none'])
})

t.test('after a kill the import goes on where it stopped, and writes the same bytes', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, weights)
  const expected = await importTo(source, join(root, 'whole'))
  const out = join(root, 'resumed')
  const child = fork(new URL('./support/import-child.ts', import.meta.url), [source, out, '9'])
  const [, signal] = await once(child, 'exit')
  t.equal(signal, 'SIGKILL')
  t.same(
    listPackages(root).map(({ id }) => id),
    ['whole'],
    'what is half made is not picked up',
  )
  // One of the nine finished parts is damaged meanwhile, and the journal's last line was cut off.
  const half = join(root, '.resumed.part')
  const data = readFileSync(join(half, 'model.onnx.data'))
  data[5] ^= 1
  writeFileSync(join(half, 'model.onnx.data'), data)
  truncateSync(join(half, 'import.jsonl'), readFileSync(join(half, 'import.jsonl')).byteLength - 20)
  const totals = new Map<string, number>()
  const resumed = await importTo(source, out, {
    onProgress: ({ phase, totalWeights }) => totals.set(phase, totalWeights),
  })
  t.ok(expected.equals(resumed), 'the same bytes')
  t.ok((totals.get('check') ?? 0) > 0, 'some was still there')
  verifyPackage(out)
  t.same(readdirSync(out).sort(), readdirSync(join(root, 'whole')).sort(), 'no scaffolding is left')
})

t.test('other options or another source start afresh; two imports do not meet', async (t) => {
  const root = t.testdir({})
  const source = writeCheckpoint(join(root, 'hf'), tinyConfig, weights)
  const out = join(root, 'x')
  const child = fork(new URL('./support/import-child.ts', import.meta.url), [source, out, '20'])
  await once(child, 'exit')
  const expected = await importTo(source, join(root, 'whole'), { quantisation: 'int8' })
  t.ok(expected.equals(await importTo(source, out, { quantisation: 'int8' })))
  const busy = join(root, '.y.part')
  const { openWorkspace } = await import('../src/models/pipeline/workspace.ts')
  const held = openWorkspace(join(root, 'y'))
  writeFileSync(join(busy, 'import.lock'), String(process.ppid))
  await t.rejects(importTo(source, join(root, 'y')), { code: 'import_busy', message: String(process.ppid) })
  held.release()
  t.throws(() => checkRoom(root, out, 1e18), { code: 'disk_full', message: /1000000000000000000 more bytes/ })
  await t.rejects(importTo(source, join(source, 'config.json', 'x')), { code: 'output_unwritable' })
})

t.test('every block format of llama.cpp decodes to what its codes say', async (t) => {
  const { half } = await bench('ggml-blocks.mjs')
  const random = fc.sample(fc.integer({ min: 0, max: 255 }), { numRuns: 6000, seed: 5 })
  let drawn = 0
  const draw = (below: number): number => random[drawn++ % random.length] % below
  const check = (name: string, raw: Buffer, expected: number[]) => {
    const into = new Float32Array(expected.length)
    dtypes[name].decode(raw, into)
    const worst = Math.max(...into.map((value, i) => Math.abs(value - expected[i])))
    t.ok(worst < 1e-5, `${name}: ${worst}`)
  }
  const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8])
  const [scale, minimum] = [0.125, -1.5]
  for (const [name, width, hasMinimum] of [
    ['Q4_0', 4, false],
    ['Q4_1', 4, true],
    ['Q5_0', 5, false],
    ['Q5_1', 5, true],
  ] as const) {
    const codes = Array.from({ length: 32 }, () => draw(2 ** width))
    const fifths = Buffer.alloc(width === 5 ? 4 : 0)
    for (const [i, code] of codes.entries()) if (width === 5 && code & 16) fifths[i >> 3] |= 1 << (i & 7)
    const nibbles = Buffer.from(codes.slice(0, 16).map((code, i) => (code & 15) | ((codes[i + 16] & 15) << 4)))
    const raw = Buffer.concat([u16(half(scale)), hasMinimum ? u16(half(minimum)) : Buffer.alloc(0), fifths, nibbles])
    check(
      name,
      raw,
      codes.map((code) => (hasMinimum ? code * scale + minimum : (code - 2 ** (width - 1)) * scale)),
    )
  }
  for (const width of [4, 5]) {
    const codes = Array.from({ length: 256 }, () => draw(2 ** width))
    const scales = Array.from({ length: 8 }, () => draw(64))
    const minima = Array.from({ length: 8 }, () => draw(64))
    const packed = Buffer.alloc(12)
    for (let g = 0; g < 4; g++) {
      packed[g] = scales[g] | ((scales[g + 4] >> 4) << 6)
      packed[g + 4] = minima[g] | ((minima[g + 4] >> 4) << 6)
      packed[g + 8] = (scales[g + 4] & 15) | ((minima[g + 4] & 15) << 4)
    }
    const fifths = Buffer.alloc(width === 5 ? 32 : 0)
    const nibbles = Buffer.alloc(128)
    for (const [i, code] of codes.entries()) {
      const group = i >> 5
      nibbles[(group >> 1) * 32 + (i & 31)] |= (code & 15) << ((group & 1) * 4)
      if (code & 16) fifths[i & 31] |= 1 << group
    }
    const raw = Buffer.concat([u16(half(scale)), u16(half(0.25)), packed, fifths, nibbles])
    check(
      `Q${width}_K`,
      raw,
      codes.map((code, i) => scale * scales[i >> 5] * code - 0.25 * minima[i >> 5]),
    )
  }
  const codes = Array.from({ length: 256 }, () => draw(64))
  const scales = Array.from({ length: 16 }, () => draw(255) - 127)
  const [low, high] = [Buffer.alloc(128), Buffer.alloc(64)]
  for (const [i, code] of codes.entries()) {
    const [side, row, column] = [i >> 7, (i >> 5) & 3, i & 31]
    low[side * 64 + (row & 1) * 32 + column] |= (code & 15) << (row < 2 ? 0 : 4)
    high[side * 32 + column] |= (code >> 4) << (2 * row)
  }
  check(
    'Q6_K',
    Buffer.concat([low, high, Buffer.from(Int8Array.from(scales).buffer), u16(half(scale))]),
    codes.map((code, i) => scale * scales[i >> 4] * (code - 32)),
  )
  check(
    'Q8_0',
    Buffer.concat([u16(half(scale)), Buffer.from(Int8Array.from(codes.slice(0, 32)).buffer)]),
    codes.slice(0, 32).map((code) => code * scale),
  )
})

t.test('rope scaling: fixed tables or a refusal', async (t) => {
  const model = { headSize: 128, theta: 500_000, contextTokens: 131_072 }
  const plain = rotaryFor(null, model)
  const frequencies = (scaling: Record<string, unknown>): readonly number[] => {
    const rotary = rotaryFor(scaling, model)
    if (typeof rotary === 'string' || typeof plain === 'string') throw new Error(String(rotary))
    return rotary.inverseFrequencies.map((f, i) => f / plain.inverseFrequencies[i])
  }
  t.ok(frequencies({ type: 'linear', factor: 4 }).every((ratio) => Math.abs(ratio - 0.25) < 1e-12))
  const llama3 = frequencies({
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  })
  // LLaMA 3.1: pairs 0 to 28 turn at least four times in 8,192 tokens, pairs from 35 on less than once.
  t.same([llama3[0], llama3[28], llama3[36], llama3[63]], [1, 1, 0.125, 0.125])
  t.ok(llama3[29] < 1 && llama3[34] > 0.125 && llama3.every((ratio, i) => i === 0 || ratio <= llama3[i - 1]))
  const yarn = { rope_type: 'yarn', factor: 16, original_max_position_embeddings: 4096 }
  const ratios = frequencies(yarn)
  t.same([ratios[0], ratios[63]], [1, 1 / 16])
  t.match(rotaryFor(yarn, model), { attentionFactor: 0.1 * Math.log(16) + 1 })
  t.match(rotaryFor({ ...yarn, attention_factor: 1.25 }, model), { attentionFactor: 1.25 })
  for (const type of ['dynamic', 'longrope', 'su', 'toString', 'made-up']) {
    t.match(rotaryFor({ rope_type: type, factor: 2 }, model), /cannot be written as fixed tables/)
  }
  t.match(rotaryFor({ rope_type: 'linear' }, model), /linear.*factor/)
})

t.test('a GGUF file that cannot be computed rightly is refused with a sentence', async (t) => {
  const root = t.testdir({})
  const base = ggufMetadata(tinyConfig)
  const cases: [Record<string, [string, unknown]>, RegExp][] = [
    [{ 'general.architecture': ['string', 'qwen2'] }, /architecture is "qwen2"/],
    [{ 'llama.expert_count': ['u32', 8] }, /mixture of experts/],
    [{ 'llama.embedding_length': ['u32', 48] }, /token_embd\.weight is \[300,32\]/],
    [{ 'llama.rope.dimension_count': ['u32', 4] }, /partial rotary/],
    [{ 'llama.rope.scaling.type': ['string', 'longrope'] }, /longrope/],
    [{ 'llama.block_count': ['u32', 3] }, /blk\.2\.attn_norm\.weight is missing/],
    [{ 'tokenizer.ggml.model': ['string', 'bert'] }, /tokenizer is "bert"/],
    [{ 'tokenizer.ggml.model': ['string', 'gpt2'], 'tokenizer.ggml.pre': ['string', 'dbrx'] }, /cuts text as "dbrx"/],
    [{ 'tokenizer.ggml.scores': ['f32', [1, 2]] }, /differ in number/],
    [{ 'llama.context_length': ['string', 'long'] }, /context_length is not a number/],
  ]
  for (const [changed, message] of cases) {
    const path = await writeTinyGguf(join(root, 'bad'), tinyConfig, weights, { metadata: { ...base, ...changed } })
    t.throws(() => openCheckpoint(path), { message })
  }
  const path = await writeTinyGguf(join(root, 'good'), tinyConfig, weights)
  const good = readFileSync(path)
  const version = (value: number, bigEndian = false) => {
    const bytes = Buffer.from(good)
    if (bigEndian) bytes.writeUInt32BE(value, 4)
    else bytes.writeUInt32LE(value, 4)
    writeFileSync(path, bytes)
    return () => openCheckpoint(path)
  }
  t.throws(version(4), { code: 'import_unsupported', message: /version 4, and deapd knows 2 and 3/ })
  t.throws(version(1), { message: /version 1/ })
  t.throws(version(3, true), { message: /big-endian/ })
  const shards = await writeTinyGguf(join(root, 'cut'), tinyConfig, weights, { shards: 2 })
  rmSync(join(root, 'cut-00002-of-00002.gguf'))
  t.throws(() => openCheckpoint(shards), { message: /cut-00002-of-00002.gguf is missing/ })
  t.throws(() => openCheckpoint(join(root, 'none')), { message: /nothing there/ })
  t.throws(() => openCheckpoint(root), { message: /2 models|3 models|config.json/ })
})

/** Damage in any byte ends in one of our errors, never in a crash, a hang or an endless allocation. */
const survives = (t: Test, path: string, open: () => unknown, headBytes: number, numRuns: number): void => {
  const good = readFileSync(path)
  const damage = fc.record({
    cut: fc.option(fc.integer({ min: 0, max: good.byteLength - 1 }), { freq: 3 }),
    flips: fc.array(fc.tuple(fc.integer({ min: 0, max: headBytes - 1 }), fc.integer({ min: 0, max: 255 })), {
      maxLength: 4,
    }),
  })
  let refused = 0
  fc.assert(
    fc.property(damage, ({ cut, flips }) => {
      const bytes = Buffer.from(cut === null ? good : good.subarray(0, cut))
      for (const [at, value] of flips) if (at < bytes.byteLength) bytes[at] = value
      writeFileSync(path, bytes)
      try {
        open()
      } catch (error) {
        refused++
        return error instanceof DeapdError && /^import_/.test(error.code)
      }
      return true
    }),
    { numRuns },
  )
  writeFileSync(path, good)
  t.ok(refused > numRuns / 4, `${refused} of ${numRuns} damaged files were refused`)
}

t.test('damaged files are refused, never believed', async (t) => {
  const root = t.testdir({})
  const gguf = await writeTinyGguf(join(root, 'tiny'), tinyConfig, weights)
  survives(t, gguf, () => openCheckpoint(gguf), 9000, 250)
  const folder = writeCheckpoint(join(root, 'hf'), tinyConfig, weights)
  survives(t, join(folder, 'model-1.safetensors'), () => openCheckpoint(folder), 1500, 250)
})

t.test('shards: the index decides, and a missing one is named', async (t) => {
  const root = t.testdir({})
  const folder = writeCheckpoint(join(root, 'hf'), tinyConfig, weights, 2)
  const index = { weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors', c: 'model-3.safetensors' } }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index))
  t.throws(() => openCheckpoint(folder), { code: 'import_damaged', message: /lacks model-3\.safetensors/ })
  writeFileSync(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ weight_map: { a: 'model-1.safetensors' } }),
  )
  t.throws(() => openCheckpoint(folder), { code: 'import_damaged', message: /is missing/ })
})

t.test('the searched scale is never worse than the covering one', async (t) => {
  const values = fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 1, maxLength: 100 })
  fc.assert(
    fc.property(values, fc.constantFrom(4 as const, 8 as const), fc.constantFrom(16, 32, 128), (list, width, block) => {
      const row = Float32Array.from(list)
      const error = (rounding: 'nearest' | 'searched'): number =>
        dequantise(quantise(row, 1, row.length, width, block, rounding)).reduce(
          (sum, v, i) => sum + (v - row[i]) ** 2,
          0,
        )
      return error('searched') <= error('nearest') * (1 + 1e-6) + 1e-12
    }),
    { numRuns: 300 },
  )
  t.pass('300 rows')
})
