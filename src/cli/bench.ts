import { Command, Option } from 'commander'
import type { BenchOptions } from '../engine/protocol.ts'
import { median } from '../evaluate/statistics/quantiles.ts'
import { syntheticFolder, syntheticPackage } from '../models/synthetic/package.ts'
import { type SyntheticName, syntheticConfigs } from '../models/synthetic/shapes.ts'
import { print, printJson, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'
import { addEngineFlags, addModelFlag, type EngineFlags, withEngine } from './run-engine.ts'

interface Options extends EngineFlags {
  readonly synthetic?: SyntheticName
  readonly layers?: number
  readonly block: number
  readonly prompt: number
  readonly tokens: number
  readonly context: number
  readonly chunk: number
  readonly json?: boolean
}

const prefillRounds = 3
const syntheticLevels = 8
const seed = 1

/** `deapd bench`: speed of every level and memory of the engine process, on this machine. */
export const benchCommand = (): Command =>
  addEngineFlags(addModelFlag(new Command('bench')))
    .description('time a model package on this machine: medians, levels in turns')
    .addOption(
      new Option('--synthetic <shape>', 'noise in a published shape instead, kept in the cache folder')
        .choices(Object.keys(syntheticConfigs))
        .conflicts('model'),
    )
    .option('--layers <n>', 'with --synthetic: fewer layers', wholeNumber('--layers', 1))
    .option('--block <n>', 'with --synthetic: weights that share a scale', wholeNumber('--block', 16), 128)
    .option('--prompt <n>', 'prompt tokens for the prefill figure', wholeNumber('--prompt', 1), 128)
    .option('--tokens <n>', 'decode steps timed per level', wholeNumber('--tokens', 1), 32)
    .option('--context <n>', 'cache slots filled when decode timing starts', wholeNumber('--context', 1), 128)
    .option('--chunk <n>', 'prompt tokens per run', wholeNumber('--chunk', 1), 64)
    .option('--json', 'print {decode, prefill, load_s, rss_mb, private_mb, weights_mb, kv_mb}')
    .action(async (options: Options) => {
      const result = await measure(
        options.synthetic ? { ...options, model: made(options.synthetic, options) } : options,
      )
      if (options.json) return printJson(result)
      const rows = result.decode.map((d) => [
        d.level,
        d.share.toFixed(2),
        d.ms_per_token.toFixed(3),
        (1000 / d.ms_per_token).toFixed(1),
      ])
      print(table([['level', 'share', 'ms/token', 'tokens/s'], ...rows]))
      print(`prefill ${result.prefill.tokens_per_second.toFixed(1)} tokens/s, load ${result.load_s?.toFixed(2)} s`)
      print(
        `peak resident ${megabytes(result.rss_mb)}, private ${megabytes(result.private_mb)}, ` +
          `weights ${megabytes(result.weights_mb)}, KV ${megabytes(result.kv_mb)} per sequence`,
      )
    })

async function measure(options: Options) {
  const bench: BenchOptions = {
    promptTokens: options.prompt,
    chunkTokens: options.chunk,
    prefillRounds,
    contextTokens: options.context,
    tokens: options.tokens,
    levels: null,
    verify: [],
  }
  return await withEngine(options, async (engine) => {
    const { decode, prefill, memory } = await engine.bench(bench)
    const { loaded } = engine.status()
    return {
      decode: decode.map(({ level, share, ms }) => ({ level, share, ms_per_token: median(ms) })),
      prefill: { tokens_per_second: prefill.tokens / (median(prefill.ms) / 1000) },
      load_s: loaded?.loadSeconds ?? null,
      rss_mb: memory && memory.peakBytes / 1e6,
      private_mb: memory && memory.privateBytes / 1e6,
      weights_mb: loaded && loaded.weightBytes / 1e6,
      kv_mb: loaded && loaded.kvBytes / 1e6,
    }
  })
}

function made(name: SyntheticName, { layers, block }: Options): string {
  const folder = syntheticFolder(process.env)
  const from = performance.now()
  const options = { name, layers, block, levels: syntheticLevels, seed, folder }
  const { dir, made, bytes } = syntheticPackage({ ...options, onProgress: progressReporter() })
  const how = made ? `made in ${((performance.now() - from) / 1000).toFixed(0)} s` : 'kept from before'
  process.stderr.write(
    `${dir}: ${(bytes / 1e9).toFixed(2)} GB of noise, ${how}; delete the folder when you need the room\n`,
  )
  return dir
}

const megabytes = (value: number | null): string => (value === null ? 'unknown' : `${value.toFixed(1)} MB`)
