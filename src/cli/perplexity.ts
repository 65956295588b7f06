import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { DeapdError, detailOf } from '../errors.ts'
import { print, printJson, wholeNumber } from './output.ts'
import { addEngineFlags, addModelFlag, type EngineFlags, withEngine } from './run-engine.ts'

interface Options extends EngineFlags {
  readonly text: string
  readonly level?: number
  readonly json?: boolean
}

/** `deapd perplexity`: mean negative log-likelihood of a text in nats; BOS is prepended and not scored. */
export const perplexityCommand = (): Command =>
  addEngineFlags(addModelFlag(new Command('perplexity')))
    .description('measure how well a model package predicts a text')
    .requiredOption('--text <file>', 'the text; one that is longer than the context is refused')
    .option('--level <n>', 'sub-network (default: the full network)', wholeNumber('--level', 0))
    .option('--json', 'print {tokens, mean_nll, perplexity}')
    .action(async (options: Options) => {
      const text = read(options.text)
      const { tokens, meanNll } = await withEngine(options, (engine) => engine.score(text, options.level ?? null))
      const perplexity = Math.exp(meanNll)
      if (options.json) printJson({ tokens, mean_nll: meanNll, perplexity })
      else print(`${tokens} tokens, mean NLL ${meanNll.toFixed(4)} nats, perplexity ${perplexity.toFixed(3)}`)
    })

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new DeapdError('file_unreadable', { path, detail: detailOf(error) }, error)
  }
}
