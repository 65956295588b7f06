import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { boards } from '../board/boards/index.ts'
import { DeapdError } from '../errors.ts'
import { tables, writeCsv } from '../evaluate/protocol/csv.ts'
import { supportQuestions } from '../evaluate/protocol/questions.ts'
import { evaluate } from '../evaluate/protocol/run.ts'
import { renderReport } from '../evaluate/report/render.ts'
import type { Estimate } from '../evaluate/statistics/moments.ts'
import type { Claim, Report } from '../evaluate/summary/report.ts'
import { summarise } from '../evaluate/summary/summarise.ts'
import { toWire } from '../telemetry/wire.ts'
import { print, printJson, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface Options {
  readonly out: string
  readonly source?: string
  readonly versus?: string
  readonly calibration?: string
  readonly work?: string
  readonly board: string
  readonly prompts: number
  readonly seed: number
  readonly workers: number
  readonly draws: number
  readonly grid: string
  readonly quick?: boolean
  readonly json?: boolean
}

/** `deapd evaluate`: the arms of the paper's protocol on one package, with its joules on a simulated board. */
export const evaluateCommand = (): Command =>
  new Command('evaluate')
    .description('compare a model package with its baselines: answers, simulated energy, statistics, one report')
    .argument('<model>', 'model package')
    .requiredOption('--out <dir>', 'folder for report.html, report.json, *.csv and *.svg')
    .option('--source <checkpoint>', 'what the package was made from: adds fp32 and the pruning baselines')
    .option('--versus <model>', 'another package, whose levels are held against this one’s')
    .option('--calibration <file>', 'for the pruning baselines (default: made from the benchmark)')
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
    .option('--quick', 'a tenth of the prompts and of the draws')
    .option('--json', 'print the report')
    .action(run)

async function run(model: string, options: Options): Promise<void> {
  const out = resolve(options.out)
  const reportFile = join(out, 'report.json')
  if (existsSync(reportFile)) throw new DeapdError('output_exists', { path: reportFile })
  const board = boards.find(({ id }) => id === options.board) ?? boards[0]
  const part = (count: number): number => Math.ceil(count / (options.quick ? 10 : 1))
  mkdirSync(out, { recursive: true })
  const { data, manifest } = await evaluate({
    ...options,
    model,
    questions: supportQuestions(part(options.prompts), options.seed),
    draws: part(options.draws),
    work: resolve(options.work ?? join(out, 'work')),
    board,
    onProgress: progressReporter(),
  })
  const report = summarise(data, manifest)
  for (const [name, rows] of Object.entries(tables)) writeCsv(join(out, name), rows(data))
  for (const [name, text] of Object.entries(renderReport(report))) writeFileSync(join(out, name), text)
  // Last: a run is whole when its report is there.
  writeFileSync(reportFile, `${JSON.stringify(toWire(report), null, 2)}\n`)
  if (options.json) return printJson(toWire(report))
  for (const line of describe(report)) print(line)
}

/** The verdict first, then the arms in the main power state. */
function describe({ verdict, arms, comparisons, manifest, mainPowerState, reference }: Report): string[] {
  const percent = ({ value, low, high }: Estimate, scale = 100): string =>
    `${(scale * value).toFixed(1)} (${(scale * low).toFixed(1)} to ${(scale * high).toFixed(1)})`
  const claim = ({ what, bar, figure, holds }: Claim): string =>
    `${holds === null ? 'open ' : holds ? 'HOLDS' : 'MISS '} ${what}: ${figure} (bar: ${bar})`
  const rows = arms.map((row) => {
    const against = comparisons.find((one) => one.arm === row.arm && one.against === reference)
    return [
      row.arm,
      percent(row.accuracyPercent, 1),
      row.decodeJoules.toFixed(3),
      against ? percent(against.decodeSaving) : '',
      row.requestJoules.toFixed(3),
      against ? percent(against.requestSaving) : '',
      against ? percent(against.accuracyPoints, 1) : '',
    ]
  })
  const head = ['arm', 'right, %', 'decode J', 'saved, %', 'request J', 'saved, %', 'against full, points']
  return [
    `${manifest.model}: ${manifest.prompts} prompts; joules of ${manifest.energyOf} on ${manifest.board} in ${mainPowerState}, ${manifest.joules}; accuracy of a ${manifest.accuracy} benchmark`,
    ...[verdict.energy, verdict.accuracy, ...verdict.others].map(claim),
    verdict.because,
    '',
    table([head, ...rows]),
  ]
}
