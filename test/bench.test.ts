import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { median, quantile, spread } from '../src/evaluate/statistics/quantiles.ts'
import { fitLine } from '../src/evaluate/statistics/regression.ts'
import { decodeModel } from '../src/models/onnx/proto.ts'
import { openPackage, verifyPackage } from '../src/models/package.ts'
import { syntheticPackage } from '../src/models/synthetic/package.ts'
import { syntheticShape } from '../src/models/synthetic/shapes.ts'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** Plain JavaScript that runs without a build: bench/ is a package of its own. */
const bench = async (file: string) => await import(new URL(`../bench/${file}`, import.meta.url).href)

const tiny = { name: 'stories-260k', block: 32, levels: 4, seed: 1 } as const

t.test('a synthetic package is whole, and the same seed gives the same bytes', async (t) => {
  const folder = t.testdir({})
  const one = syntheticPackage({ ...tiny, folder: join(folder, 'a') })
  const two = syntheticPackage({ ...tiny, folder: join(folder, 'b') })
  const other = syntheticPackage({ ...tiny, seed: 2, folder: join(folder, 'a') })
  t.ok(one.made && two.made && other.made)
  const files = (dir: string) => openPackage(dir).manifest.files
  t.same(files(one.dir), files(two.dir))
  t.not(files(one.dir)['model.onnx.data'].sha256, files(other.dir)['model.onnx.data'].sha256)
  const { manifest } = verifyPackage(one.dir)
  t.equal(manifest.shape.layers, syntheticShape('stories-260k').layers)
  t.ok(manifest.levels.length > 1)
  t.notOk(syntheticPackage({ ...tiny, folder: join(folder, 'a') }).made, 'used again')
  t.same(readdirSync(join(folder, 'a')).length, 2, 'nothing half-made is left')
})

t.test('a package whose graph would come out differently today is replaced', async (t) => {
  const folder = t.testdir({})
  const { dir } = syntheticPackage({ ...tiny, folder })
  const stale = dir.replace(/-[0-9a-f]{8}$/, '-00000000')
  mkdirSync(stale)
  t.notOk(syntheticPackage({ ...tiny, folder }).made)
  syntheticPackage({ ...tiny, layers: 2, folder })
  t.same(readdirSync(folder).length, 3)
})

t.test('every node of a synthetic graph finds its weights', async (t) => {
  const { dir } = syntheticPackage({ ...tiny, layers: 1, folder: t.testdir({}) })
  const { graph } = decodeModel(readFileSync(join(dir, 'model.onnx')))
  const made = new Set([...graph.initializer, ...(graph.input as { name: string }[])].map(({ name }) => name))
  for (const node of graph.node) for (const name of node.output) made.add(name)
  for (const node of graph.node) for (const name of node.input) t.ok(name === '' || made.has(name), name)
})

t.test('deapd bench --synthetic prints the contract and nothing else', async (t) => {
  const cache = t.testdir({})
  const args = ['--synthetic', 'stories-260k', '--layers', '2', '--block', '32', '--prompt', '70', '--tokens', '2']
  const { out, err, code } = await deapd(cache, 'bench', ...args, '--context', '16', '--json')
  t.equal(code, 0, err)
  t.match(err, /GB of noise, made in/)
  const result = JSON.parse(out)
  t.same(Object.keys(result), ['decode', 'prefill', 'load_s', 'rss_mb', 'private_mb', 'weights_mb', 'kv_mb'])
  t.same(Object.keys(result.prefill), ['tokens_per_second'])
  for (const [i, row] of result.decode.entries()) {
    t.same(Object.keys(row), ['level', 'share', 'ms_per_token'])
    t.equal(row.level, i)
    t.ok(row.ms_per_token > 0)
  }
  t.equal(result.decode.at(-1).share, 1)
  const numbers = [result.prefill.tokens_per_second, result.load_s, result.rss_mb, result.weights_mb, result.kv_mb]
  for (const value of numbers) t.ok(value > 0)
  t.ok(result.private_mb < result.rss_mb)

  const reused = await deapd(cache, 'bench', ...args, '--context', '16')
  t.match(reused.err, /kept from before/)
  t.match(await deapd(cache, 'bench', ...args, '--context', '511'), { code: 1, err: /holds 512/ })
  t.match(await deapd(cache, 'bench', '--synthetic', 'llama-9'), { code: 2 })
})

const deapd = (cache: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const env = { ...process.env, XDG_CACHE_HOME: cache }
    execFile(process.execPath, [main, ...args], { env }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    )
  })

t.test('statistics', async (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(quantile([0, 10], 0.99), 9.9)
  t.throws(() => median([]))
  t.same(spread([1, 2, 3, 4, 5]), { median: 3, low: 2, high: 4, n: 5 })
  // Anscombe's first set: 3 + 0.5x, r = 0.816.
  const anscombe = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5].map(
    (x, i) => [x, [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68][i]] as const,
  )
  const fit = fitLine(anscombe)
  t.ok(Math.abs(fit.intercept - 3) < 0.001 && Math.abs(fit.slope - 0.5) < 0.001 && Math.abs(fit.r - 0.8164) < 0.001)
  t.throws(() => fitLine([[1, 2]]))
  const real = fc.double({ min: -100, max: 100, noNaN: true })
  fc.assert(
    fc.property(real, real, (a, b) => {
      const line = fitLine([0.4, 0.55, 0.7, 1].map((x) => [x, a + b * x] as const))
      return Math.abs(line.intercept - a) < 1e-8 && Math.abs(line.slope - b) < 1e-8
    }),
    { seed: 7 },
  )
})

t.test('verdicts', async (t) => {
  const { rows, verdict, bar } = await bench('rows.mjs')
  t.equal(verdict({ least: 1.2 }, 1.19), 'MISS')
  t.equal(verdict({ least: 1.2 }, 1.2), 'ok')
  t.equal(verdict({ most: 2 }, 2.1), 'MISS')
  t.equal(verdict({ most: 2 }, Number.NaN), 'MISS', 'unknown is not good')
  t.equal(verdict({}, 5), '')
  t.equal(bar({ most: 2 }), '≤ 2')
  t.equal(new Set(rows.map(({ id }: { id: string }) => id)).size, rows.length)
})

t.test('half precision', async (t) => {
  const { half } = await bench('ggml-blocks.mjs')
  const cases = [
    [0, 0],
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00],
    [5.96e-8, 1],
    [6.1e-5, 0x3ff],
    [1 / 3, 0x3555],
    [2049, 0x6800],
    [2051, 0x6802],
    [-2.7e-6, 0x802d],
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ]
  for (const [value, expected] of cases) t.equal(half(value), expected, String(value))
})

t.test('GGUF files say what was written', async (t) => {
  const { writeGguf, tensorBytes } = await bench('gguf.mjs')
  const path = join(t.testdir({}), 'x.gguf')
  const values = Float32Array.of(1, 2, 3)
  writeGguf(path, { 'general.architecture': ['string', 'llama'], 'a.list': ['u32', [1, 2]] }, [
    { name: 'one', type: 'F32', dims: [3], data: () => values },
    { name: 'two', type: 'Q4_0', dims: [32, 2], data: () => Buffer.alloc(36, 7) },
  ])
  const bytes = readFileSync(path)
  t.equal(bytes.toString('latin1', 0, 4), 'GGUF')
  t.same([bytes.readUInt32LE(4), bytes.readBigUInt64LE(8), bytes.readBigUInt64LE(16)], [3, 2n, 2n])
  t.equal(bytes.byteLength % 32, 0)
  // The last 64 bytes are the padded second tensor, the 32 before them the padded first.
  t.same(new Float32Array(bytes.buffer.slice(bytes.byteOffset + bytes.byteLength - 96).slice(0, 12)), values)
  t.same(bytes.subarray(-64, -28), Buffer.alloc(36, 7))
  t.equal(tensorBytes('Q4_0', [4096, 2]), 4608)
  t.throws(() => tensorBytes('Q4_0', [172, 2]), /multiple of 32/)
  t.throws(() => writeGguf(path, {}, [{ name: 'x', type: 'F32', dims: [4], data: () => values }]), /12 bytes/)
})

t.test('what others ran is counted, and nobody of ours', { skip: process.platform !== 'linux' }, async (t) => {
  const { watchOthers } = await bench('others.mjs')
  const spin = `process.on('message', (ms) => {
    const end = process.cpuUsage().user + 1000 * ms
    while (process.cpuUsage().user < end);
    process.send('done')
  })`
  const other = spawn(process.execPath, ['-e', spin], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  t.teardown(() => other.kill())
  const work = async (ms: number) => {
    other.send(ms)
    await once(other, 'message')
  }
  // The same tryout for both: they watch the same threads, but for those of the other process.
  let working: Promise<void> | undefined
  const tryout = () => (working ??= work(20))
  const watched = [[process.pid], [process.pid, other.pid]].map((pids) => watchOthers(pids, tryout))
  const [beside, foreign] = await Promise.all(watched)
  beside.lookAside()
  foreign.lookAside()
  await work(200)
  const ranMs = beside.lookAside() - foreign.lookAside()
  t.ok(ranMs > 100, `of 200 ms of its own it saw ${ranMs.toFixed(0)}`)
  other.kill()
  await once(other, 'exit')
  t.ok(beside.lookAside() >= 0, 'who has ended is not counted backwards')
  for (const watch of [beside, foreign]) watch.close()
})

t.test('the section on sampling times every way with both vocabularies', async (t) => {
  const { sampling } = await bench('sections/extras.mjs')
  const { values, details } = await sampling()
  t.same(Object.keys(details), ['32000', '128256'])
  const medians = Object.values(details['32000']).map((times) => (times as { median: number }).median)
  t.equal(medians.length, 4)
  t.equal(values.sampling_us, Math.max(...medians))
  t.ok(values.sampling_us > 0)
})
