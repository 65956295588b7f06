import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { boards } from '../board/boards/index.ts'
import { DeapdError } from '../errors.ts'
import { tables, writeCsv } from '../evaluate/protocol/csv.ts'
import { evaluate } from '../evaluate/protocol/run.ts'
import { print, printJson, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface Options {
  readonly out: string
  readonly source?: string
  readonly work?: string
  readonly board: string
  readonly prompts: number
  readonly seed: number
  readonly workers: number
  readonly draws: number
  readonly grid: string
  readonly json?: boolean
}

/** `deapd evaluate`: the arms of the paper's protocol on one package, with its joules on a simulated board. */
export const evaluateCommand = (): Command =>
  new Command('evaluate')
    .description('compare a model package with its baselines: answers, simulated energy, statistics, one report')
    .argument('<model>', 'model package')
    .requiredOption('--out <dir>', 'folder for report.html, report.json, *.csv and *.svg')
    .option('--source <checkpoint>', 'what the package was made from: adds fp32 and the pruning baselines')
    .option('--work <dir>', 'folder for baselines and answers, which a killed run goes on from (default: OUT/work)')
    .option('--prompts <n>', 'held-out prompts', wholeNumber('--prompts', 3), 10_000)
    .option('--seed <n>', 'seed of prompts and draws', wholeNumber('--seed', 0), 7)
    .option(
      '--workers <n>',
      'processes that answer, one thread each',
      wholeNumber('--workers', 1),
      availableParallelism(),
    )
    .addOption(
      new Option('--board <board>', 'simulated board').choices(boards.map(({ id }) => id)).default('agx-orin-64gb'),
    )
    .option('--draws <n>', 'draws of the energy priors', wholeNumber('--draws', 20), 1000)
    .option('--grid <code>', 'whose electricity, as ISO 3166 code', 'world')
    .option('--json', 'print the report')
    .action(run)

async function run(model: string, options: Options): Promise<void> {
  const out = resolve(options.out)
  const reportFile = join(out, 'report.json')
  if (existsSync(reportFile)) throw new DeapdError('output_exists', { path: reportFile })
  const board = boards.find(({ id }) => id === options.board) ?? boards[0]
  mkdirSync(out, { recursive: true })
  const { data, manifest } = await evaluate({
    ...options,
    model,
    work: resolve(options.work ?? join(out, 'work')),
    board,
    onProgress: progressReporter(),
  })
  for (const [name, rows] of Object.entries(tables)) writeCsv(join(out, name), rows(data))
  writeFileSync(reportFile, `${JSON.stringify({ schema: 'deapd-evaluation/2', manifest }, null, 2)}\n`)
  if (options.json) return printJson({ manifest })
  print(`${out}: ${data.arms.length} arms, ${manifest.prompts} prompts`)
}
