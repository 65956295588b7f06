import { Command } from 'commander'
import { greedy } from '../engine/protocol.ts'
import { print, printJson, realNumber, wholeNumber } from './output.ts'
import { addEngineFlags, addModelFlag, type EngineFlags, withEngine } from './run-engine.ts'

interface Options extends EngineFlags {
  readonly prompt: string
  readonly maxTokens?: number
  readonly temperature: number
  readonly seed?: number
  readonly level?: number
  readonly json?: boolean
}

/** `deapd generate`: continues a raw prompt (no chat template), greedy unless asked otherwise. */
export const generateCommand = (): Command =>
  addEngineFlags(addModelFlag(new Command('generate')))
    .description('continue a prompt with a model package, without the daemon')
    .requiredOption('--prompt <text>', 'text to continue; BOS is put in front of it')
    .option('--max-tokens <n>', 'stop after so many tokens', wholeNumber('--max-tokens', 1))
    .option('--temperature <t>', '0 is greedy', realNumber('--temperature', 0), 0)
    .option('--seed <n>', 'seed of the sampler', wholeNumber('--seed', 0))
    .option('--level <n>', 'sub-network (default: the full network)', wholeNumber('--level', 0))
    .option('--json', 'print {text, ids, prompt_ids, levels, tokens_per_second}')
    .action(async (options: Options) => {
      const result = await withEngine(options, async (engine) => {
        const sampling = {
          ...greedy,
          maxTokens: options.maxTokens ?? null,
          temperature: options.temperature,
          seed: options.seed ?? null,
        }
        const { prompt, level = null } = options
        const request = {
          id: 'generate',
          input: { prompt },
          sampling,
          policy: 'exact' as const,
          level,
          maxJoules: null,
        }
        const ids: number[] = []
        const levels: number[] = []
        let text = ''
        for await (const answer of engine.generate(request, new AbortController().signal)) {
          if (answer.type === 'token') {
            text += answer.text
            ids.push(answer.tokenId)
            levels.push(answer.level)
            if (!options.json) process.stdout.write(answer.text)
          }
          if (answer.type === 'done') {
            // A last event may carry only held-back text and the id of EOS, which is not part of the answer.
            const count = answer.completionTokens
            const seconds = answer.prefillSeconds + answer.decodeSeconds
            return {
              text,
              ids: ids.slice(0, count),
              prompt_ids: answer.promptIds,
              levels: levels.slice(0, count),
              tokens_per_second: seconds > 0 ? count / seconds : null,
            }
          }
        }
        return undefined
      })
      if (options.json) printJson(result)
      else print()
    })
