import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { DeapdError } from '../errors.ts'
import { type Cell, type LevelScore, scoreSupport } from '../evaluate/support/score.ts'
import { openPackage } from '../models/package.ts'
import { toWire } from '../telemetry/wire.ts'
import { print, printJson, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'
import { addEngineFlags, type EngineFlags, greedy, withEngine } from './run-engine.ts'

interface Options extends Omit<EngineFlags, 'model'> {
  readonly out: string
  readonly prompts: number
  readonly seed: number
  readonly json?: boolean
}

/** `deapd evaluate`: exact match on held-out customer-service prompts, per stratum and level. */
export const evaluateCommand = (): Command =>
  addEngineFlags(new Command('evaluate'))
    .description('score a model package on held-out customer-service prompts, per stratum and level')
    .argument('<model>', 'model package')
    .requiredOption('--out <dir>', 'folder for report.json and accuracy.csv')
    .option('--prompts <n>', 'held-out prompts', wholeNumber('--prompts', 3), 1_200)
    .option('--seed <n>', 'seed of the prompts', wholeNumber('--seed', 0), 7)
    .option('--json', 'print the report')
    .action(async (model: string, options: Options) => {
      const out = resolve(options.out)
      if (existsSync(join(out, 'report.json')))
        throw new DeapdError('output_exists', { path: join(out, 'report.json') })
      const { id, manifest, digest } = openPackage(model)
      const shares = manifest.levels.map(({ share }) => share)
      const levels = await withEngine({ ...options, model }, (engine) =>
        scoreSupport(engine, shares, options.prompts, options.seed, greedy, progressReporter()),
      )
      const report = {
        schema: 'deapd-evaluation/1',
        model: id,
        digest,
        prompts: options.prompts,
        seed: options.seed,
        levels: toWire(levels),
      }
      mkdirSync(out, { recursive: true })
      writeFileSync(join(out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
      writeFileSync(join(out, 'accuracy.csv'), csv(levels))
      if (options.json) return printJson(report)
      const percent = ({ accuracy, low, high }: Cell): string =>
        `${accuracy.toFixed(1)} (${low.toFixed(1)}–${high.toFixed(1)})`
      const rows = levels.map((l) => [
        l.level,
        l.share.toFixed(2),
        ...Object.values(l.strata).map(percent),
        percent(l.all),
        percent(l.heldOutWordings),
      ])
      print(`${id}: exact match in % on ${options.prompts} held-out prompts (95 % interval)`)
      print(table([['level', 'share', ...Object.keys(levels[0].strata), 'all', 'held-out wordings'], ...rows]))
    })

function csv(levels: readonly LevelScore[]): string {
  const rows = levels.flatMap((l) =>
    Object.entries({
      ...l.strata,
      all: l.all,
      held_out_wordings: l.heldOutWordings,
      known_wordings: l.knownWordings,
      ...prefixed(l.kinds),
    }).map(([group, c]) => [
      l.level,
      l.share.toFixed(4),
      group,
      c.prompts,
      c.correct,
      c.accuracy.toFixed(2),
      c.low.toFixed(2),
      c.high.toFixed(2),
    ]),
  )
  return [['level', 'share', 'group', 'prompts', 'correct', 'accuracy_percent', 'low_percent', 'high_percent'], ...rows]
    .map((row) => `${row.join(',')}\n`)
    .join('')
}

const prefixed = (kinds: Readonly<Record<string, Cell>>): Record<string, Cell> =>
  Object.fromEntries(Object.entries(kinds).map(([kind, c]) => [`kind:${kind}`, c]))
