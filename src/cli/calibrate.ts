import { Command } from 'commander'
import { loadSettings } from '../config/load.ts'
import { settingRows } from '../config/schema.ts'
import { type Calibrated, calibrate } from '../daemon/calibrate.ts'
import { createLog } from '../daemon/log.ts'
import { print, printJson, realNumber, table, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface Options {
  readonly config?: string
  readonly seconds: number
  readonly realTime?: boolean
  readonly seed: number
  readonly plantError: number
  readonly dryRun?: boolean
  readonly json?: boolean
}

const wanted = ['model', 'state', 'twin', 'as_if', 'sysfs_root', 'tegrastats', 'threads', 'provider']

/** `deapd calibrate`: measures this board under work and gives the governor its figures. */
export function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .description('sweep levels and clocks on this board, fit its power model and store it for the daemon')
    .option('--config <file>', 'settings as JSON')
    .option('--seconds <s>', 'seconds of each cell', realNumber('--seconds', 0.2), 6)
    .option('--real-time', 'on a simulated board: run the engine and the adapters instead of the board’s own time')
    .option('--seed <n>', 'of the simulated board', wholeNumber('--seed', 0), 1)
    .option(
      '--plant-error <e>',
      'the simulated board is off its priors by up to this',
      realNumber('--plant-error', 0),
      0,
    )
    .option('--dry-run', 'fit and show, store nothing')
    .option('--json', 'print the calibration as it is stored, with its cells')
  for (const { flag, argument, description } of settingRows.filter(({ name }) => wanted.includes(name))) {
    command.option(`${flag} <${argument}>`, description)
  }
  return command.action(async (options: Options & Record<string, unknown>) => {
    const camel = (name: string): string => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
    const flags = Object.fromEntries(wanted.map((name) => [name, options[camel(name)] as string | undefined]))
    const { settings } = loadSettings(flags, process.env, options.config)
    const progress = progressReporter()
    const cancel = new AbortController()
    const stop = () => cancel.abort(new Error('cancelled; the clocks are as they were and nothing was stored'))
    process.once('SIGINT', stop).once('SIGTERM', stop)
    try {
      const result = await calibrate(settings, process.env, createLog('error'), {
        secondsPerCell: options.seconds,
        realTime: options.realTime ?? false,
        seed: options.seed,
        plantError: options.plantError,
        dryRun: options.dryRun ?? false,
        signal: cancel.signal,
        onCell: (done, all) => progress(done, all, 'cells'),
      })
      if (options.json) printJson({ ...result.calibration, path: result.path, cells_seen: result.cells })
      else show(result)
    } catch (error) {
      if (!cancel.signal.aborted) throw error
      process.stderr.write(`\ndeapd: ${(cancel.signal.reason as Error).message}\n`)
      process.exitCode = 1
    } finally {
      process.off('SIGINT', stop).off('SIGTERM', stop)
    }
  })
}

function show({ calibration, path, cells, repeats }: Calibrated): void {
  const { board, simulated, model, sensor, figures, quality, energy_priors: energy } = calibration
  const again = repeats > 0 ? `, ${repeats} of them run again` : ''
  print(`${board}${simulated ? ', simulated' : ''}, ${model}, ${sensor}: ${cells.length} cells${again}`)
  const rows = Object.entries(figures).map(([name, { value, half_width }]) => [
    name,
    value.toPrecision(4),
    half_width === null ? '' : `± ${half_width.toPrecision(2)}`,
  ])
  print(table([['figure', 'value', '95 %'], ...rows]))
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
  print(`power  R² ${quality.power_r_squared.toFixed(4)}, worst cell ${percent(quality.largest_power_error)}`)
  print(`time   R² ${quality.time_r_squared.toFixed(4)}, worst cell ${percent(quality.largest_time_error)}`)
  const elasticity = energy.elasticity === null ? 'unknown' : energy.elasticity.toFixed(3)
  print(
    `energy ${(energy.joules_per_byte * 1e12).toFixed(0)} pJ/byte, ${(energy.joules_per_flop * 1e12).toFixed(2)} pJ/flop, ` +
      `${energy.static_watts.toFixed(1)} W, elasticity ${elasticity}, R² ${energy.r_squared.toFixed(3)}`,
  )
  print(path === null ? 'nothing stored' : `stored in ${path}; the daemon uses it from its next start`)
}
