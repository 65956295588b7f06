import { Command } from 'commander'
import { processMemory } from '../engine/memory.ts'
import { print, printJson, table, wholeNumber } from './output.ts'
import { addEngineFlags, addModelFlag, type EngineFlags, withEngine } from './run-engine.ts'

interface Options extends EngineFlags {
  readonly prompt: number
  readonly tokens: number
  readonly context: number
  readonly json?: boolean
}

/** `deapd bench`: speed of every level and memory of the engine process, on this machine. */
export const benchCommand = (): Command =>
  addEngineFlags(addModelFlag(new Command('bench')))
    .description('time a model package on this machine: medians, levels in turns')
    .option('--prompt <n>', 'prompt tokens for the prefill figure', wholeNumber('--prompt', 1), 128)
    .option('--tokens <n>', 'decode steps timed per level', wholeNumber('--tokens', 1), 32)
    .option('--context <n>', 'cache slots filled when decode timing starts', wholeNumber('--context', 1), 128)
    .option('--json', 'print {decode, prefill, load_s, rss_mb, private_mb, weights_mb, kv_mb}')
    .action(async (options: Options) => {
      const result = await withEngine(options, async (engine) => {
        const { prompt: promptTokens, tokens, context: contextTokens } = options
        const figures = await engine.bench({ promptTokens, tokens, contextTokens })
        const { loaded, pid } = engine.status()
        const memory = processMemory(pid)
        return {
          decode: figures.decode.map(({ level, share, msPerToken }) => ({ level, share, ms_per_token: msPerToken })),
          prefill: { tokens_per_second: figures.prefillTokensPerSecond },
          load_s: loaded?.loadSeconds ?? null,
          rss_mb: memory && memory.peakBytes / 1e6,
          private_mb: memory && memory.privateBytes / 1e6,
          weights_mb: loaded && loaded.weightBytes / 1e6,
          kv_mb: loaded && loaded.kvBytes / 1e6,
        }
      })
      if (options.json) return printJson(result)
      const rows = result.decode.map((d) => [
        d.level,
        d.share.toFixed(2),
        d.ms_per_token.toFixed(3),
        (1000 / d.ms_per_token).toFixed(0),
      ])
      print(table([['level', 'share', 'ms/token', 'tokens/s'], ...rows]))
      print(`prefill ${result.prefill.tokens_per_second.toFixed(0)} tokens/s, load ${result.load_s?.toFixed(2)} s`)
      print(
        `peak resident ${result.rss_mb?.toFixed(0)} MB, private ${result.private_mb?.toFixed(0)} MB, ` +
          `weights ${result.weights_mb?.toFixed(2)} MB, KV ${result.kv_mb?.toFixed(2)} MB per sequence`,
      )
    })
