import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { Command, Option } from 'commander'
import { boards } from '../board/boards/index.ts'
import type { Figures } from '../simulate/figures.ts'
import { claims, fullSize, quickSize } from '../simulate/report.ts'
import { simulate } from '../simulate/run.ts'
import { scenarios } from '../simulate/scenarios.ts'
import { type Setup, simulationOf, usualSetup } from '../simulate/setup.ts'
import { csvHead, csvRow } from '../simulate/trace.ts'
import { toWire } from '../telemetry/wire.ts'
import { print, printJson, realNumber, wholeNumber } from './output.ts'

interface Options extends Setup {
  readonly out?: string
  readonly json?: boolean
  readonly report?: boolean
  readonly quick?: boolean
}

/** `deapd simulate`: the governor against a simulated board, far faster than real time. Everything it prints is simulated. */
export const simulateCommand = (): Command =>
  new Command('simulate')
    .description('run a governor against a simulated board in virtual time; all figures are simulated')
    .addOption(
      choice(
        '--board <board>',
        'board',
        boards.map(({ id }) => id),
        usualSetup.board,
      ),
    )
    .option('--budget <w>', 'watt budget', realNumber('--budget', 1), usualSetup.budget)
    .addOption(choice('--scenario <name>', 'what happens', Object.keys(scenarios), usualSetup.scenario))
    .option('--seconds <n>', 'simulated seconds', realNumber('--seconds', 1), usualSetup.seconds)
    .option('--seed <n>', 'seed of load, plant and sensors', wholeNumber('--seed', 0), usualSetup.seed)
    .option('--plant-error <e>', 'each coefficient of the plant times [1-e, 1+e]', share('--plant-error'), 0)
    .addOption(choice('--policy <policy>', 'energy policy', ['exact', 'balanced', 'eco'], usualSetup.policy))
    .option('--sensor <sensor>', 'hwmon or tegrastats:MS', usualSetup.sensor)
    .option('--governor <name>', 'deapd, none, fixed:HZ, oracle, pid or maxn', usualSetup.governor)
    .option(
      '--latency-target <ms>',
      'ms per token; 0: as fast as the budget allows',
      realNumber('--latency-target', 0),
      50,
    )
    .option('--first-token-target <s>', 's to read waiting prompts', realNumber('--first-token-target', 0), 2)
    .option('--ambient <c>', 'air temperature, °C', Number, usualSetup.ambient)
    .option('--report', 'measure every promise of the governor and print the table (several minutes)')
    .option('--quick', 'with --report: a tenth of the draws and hours')
    .option('--out <file>', 'write a trace, a row per 100 ms')
    .option('--json', 'print the figures as JSON')
    .action(run)

async function run(options: Options): Promise<void> {
  if (options.report) return report(options)
  const startedAt = performance.now()
  const lines: string[] = [csvHead]
  const figures = simulate({
    ...simulationOf(options),
    ...(options.out ? { onRow: (row) => lines.push(csvRow(row)) } : {}),
  })
  const tookSeconds = (performance.now() - startedAt) / 1000
  if (options.out) await write(options.out, lines)
  process.stderr.write(
    `simulated ${options.seconds} s in ${tookSeconds.toFixed(2)} s (${(options.seconds / tookSeconds).toFixed(0)} x real time)\n`,
  )
  const { board, budget, scenario, seed, plantError, policy, sensor, governor } = options
  const about = { simulated: true, board, budgetWatts: budget, scenario, seed, plantError, policy, sensor, governor }
  if (options.json) return printJson(toWire({ ...about, ...figures }))
  for (const line of describe(options, figures)) print(line)
}

/** Prints each promise as soon as it is measured; exit code 1 when one is missed. */
function report({ quick, json }: Options): void {
  const rows = claims.map((claim) => {
    const { figure, holds, note = null } = claim.measure(quick ? quickSize : fullSize)
    const row = { what: claim.what, bar: claim.bar, figure, verdict: holds ? 'HOLDS' : 'MISS', note, simulated: true }
    if (json) process.stderr.write(`${row.verdict} ${row.what}\n`)
    else
      print(
        `${row.verdict.padEnd(5)} ${row.what}\n      bar: ${row.bar}\n      ${figure}${note === null ? '' : `; ${note}`}\n`,
      )
    return row
  })
  if (json) printJson(rows)
  if (rows.some(({ verdict }) => verdict === 'MISS')) process.exitCode = 1
}

function describe({ scenario, governor, budget, board }: Options, f: Figures): readonly string[] {
  const ms = (value: number | null): string => (value === null ? 'none' : `${value.toFixed(0)} ms`)
  return [
    `simulated: ${governor} on ${board}, ${budget} W, ${scenario}, ${f.seconds} s`,
    `power   mean ${f.meanWatts.toFixed(2)} W; 1 s windows over budget ${(100 * f.windowsOverShare).toFixed(3)} %; ` +
      `longest excursion over 102 % ${f.longestExcursionMs.toFixed(0)} ms`,
    `tokens  ${f.tokens} (${f.tokensPerSecond.toFixed(1)} /s), ${f.joulesPerToken?.toFixed(3) ?? 'no'} J/token, ` +
      `${f.finished} of ${f.requests} requests answered, ${f.refused} refused`,
    `waits   token ${ms(f.tokenGapMsMedian)} (95 %: ${ms(f.tokenGapMsP95)}), first ${ms(f.firstTokenMsMedian)} (95 %: ${ms(f.firstTokenMsP95)})`,
    `heat    mean ${f.tjMeanCelsius?.toFixed(1)} °C, most ${f.tjMostCelsius?.toFixed(1)} °C, ${f.throttleEvents} throttle events`,
  ]
}

async function write(path: string, lines: readonly string[]): Promise<void> {
  const stream = createWriteStream(path)
  for (let at = 0; at < lines.length; at += 4096) {
    if (!stream.write(lines.slice(at, at + 4096).join(''))) await once(stream, 'drain')
  }
  stream.end()
  await once(stream, 'finish')
}

const choice = (flags: string, description: string, values: readonly string[], value: string): Option =>
  new Option(flags, description).choices(values).default(value)

const share = (option: string) => (value: string) => Math.min(0.95, realNumber(option, 0)(value))
