/**
 * `npm run bench`: deapd beside llama.cpp on this machine, and both beside the bars of the "Must show" table. Writes
 * bench/results.json and the tables in bench/README.md. Sections that are not run keep their last results.
 *
 *   npm run bench -- [--quick] [--only speed,prefill,…] [--threads N] [--out FILE]
 *
 * --quick measures 4 layers instead of 32, into results-quick.json: a look at the direction, no claim.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ownKernels } from '../dist/engine/ort/own-kernels.js'
import { syntheticFolder, syntheticPackage } from '../dist/models/synthetic/package.js'
import { syntheticConfigs, syntheticShape } from '../dist/models/synthetic/shapes.js'
import { version } from '../dist/version.js'
import { startReaders } from './bandwidth.mjs'
import { disturbance } from './calm.mjs'
import { startDaemon } from './daemon.mjs'
import { startDeapd } from './deapd.mjs'
import { installLlama } from './install.mjs'
import { writeNoiseModel } from './llama-file.mjs'
import { startLlama } from './llama-side.mjs'
import { report, writeReport } from './report.mjs'
import { rows, verdict } from './rows.mjs'
import { context } from './sections/context.mjs'
import { drafts, sampling } from './sections/extras.mjs'
import { http, streams } from './sections/http.mjs'
import { levels } from './sections/levels.mjs'
import { memory } from './sections/memory.mjs'
import { prefill } from './sections/prefill.mjs'
import { products } from './sections/products.mjs'
import { quality } from './sections/quality.mjs'
import { speed } from './sections/speed.mjs'
import { start } from './sections/start.mjs'

/** What each section wants running while it measures. */
const sections = {
  speed: { run: speed, needs: ['deapd', 'llama', 'readers'] },
  products: { run: products, needs: ['deapd', 'runtime'] },
  prefill: { run: prefill, needs: ['deapd', 'llama'] },
  levels: { run: levels, needs: ['deapd'] },
  context: { run: context, needs: ['deapd'] },
  memory: { run: memory, needs: [] },
  start: { run: start, needs: [] },
  drafts: { run: drafts, needs: ['deapd'] },
  sampling: { run: sampling, needs: [] },
  http: { run: http, needs: ['daemon'] },
  streams: { run: streams, needs: ['daemon'] },
  quality: { run: quality, needs: [] },
}

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(sections).join() },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
})
const wanted = flags.only.split(',')
const unknown = wanted.find((name) => !(name in sections))
if (unknown !== undefined) {
  console.error(`There is no section "${unknown}". Sections: ${Object.keys(sections).join(', ')}.`)
  process.exit(2)
}

const here = fileURLToPath(new URL('.', import.meta.url))
const log = (line) => process.stderr.write(`${line}\n`)
const threads = Number(flags.threads)
const name = 'llama-2-7b'
const shape = syntheticShape(name, flags.quick ? 4 : undefined)
const llamaVersion = installLlama()
const folder = syntheticFolder(process.env)
mkdirSync(folder, { recursive: true })
const { dir } = syntheticPackage({ name, layers: shape.layers, block: 128, levels: 8, seed: 1, folder })
const gguf = join(folder, `${name}-${shape.layers}x-q4_0-s1.gguf`)
writeNoiseModel(gguf, name, { ...shape, ropeTheta: syntheticConfigs[name].rope_theta }, 1)
log(`deapd: ${dir}\nllama.cpp: ${gguf}`)

const file = flags.out ?? fileURLToPath(new URL(flags.quick ? 'results-quick.json' : 'results.json', import.meta.url))
const results = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { sections: {} }
const kinds = {
  deapd: () => startDeapd(dir, threads),
  runtime: () => startDeapd(dir, threads, { DEAPD_PRODUCTS: 'runtime' }),
  daemon: () => startDaemon(dir, threads),
  readers: () => startReaders(threads),
  llama: () => startLlama(gguf, threads, 768),
}
const running = {}
try {
  for (const section of wanted) {
    const { run, needs } = sections[section]
    for (const [kind, process] of Object.entries(running)) {
      if (needs.includes(kind)) continue
      await process.close()
      delete running[kind]
    }
    for (const kind of needs) running[kind] ??= await kinds[kind]()
    const { manifest, loaded } = running.deapd ?? {}
    Object.assign(disturbance, { worst: 0, repeated: 0, disturbed: 0 })
    const { values, details } = await run({
      ...running,
      dir,
      gguf,
      threads,
      manifest,
      kvBytesPerToken: loaded && loaded.kvBytes / manifest.shape.context_tokens,
      rounds: Number(flags.rounds),
      tokens: flags.quick ? 16 : 4,
      chunkTokens: 64,
      log,
    })
    results.sections[section] = {
      measured: new Date().toISOString(),
      ...machine(),
      disturbance: { ...disturbance },
      values,
      details,
    }
    results.rows = judge(results.sections)
    writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
    for (const row of results.rows.filter(({ id }) => id in values)) {
      log(`${row.verdict.padEnd(4)} ${row.what}: ${row.value.toFixed(3)}`)
    }
  }
} finally {
  for (const process of Object.values(running)) await process.close()
}
process.stdout.write(report(results))
if (!flags.quick && flags.out === undefined) writeReport(results)

function machine() {
  return {
    cpu: `${cpus()[0]?.model ?? 'unknown'}, ${ownKernels().lanes ?? 'no products of our own'}`,
    cores: cpus().length,
    threads,
    memory_gb: Math.round(totalmem() / 1e9),
    deapd: version,
    commit: commit(),
    node_llama_cpp: llamaVersion,
    shape: `${name}, ${shape.layers} layers`,
  }
}

/** Which sources were measured; a copy without git says so. */
function commit() {
  const { status, stdout } = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: here, encoding: 'utf8' })
  return status === 0 ? stdout.trim() : 'unknown'
}

/** Every row that has been measured, with its bar and verdict; spreads are judged by their median. */
function judge(measured) {
  return rows.flatMap((row) => {
    const found = measured[row.section]?.values[row.id]
    if (found === undefined) return []
    const { median: value, low, high } = typeof found === 'number' ? { median: found } : found
    return [{ ...row, value, low, high, verdict: verdict(row, value) }]
  })
}
