import { resolve } from 'node:path'
import { Command } from 'commander'
import { loadSettings, stateFolder } from '../config/load.ts'
import { settingRows } from '../config/schema.ts'
import { choosePlatform } from '../daemon/platform.ts'
import { record } from '../daemon/record.ts'
import { DeapdError } from '../errors.ts'
import { print, printJson, realNumber, wholeNumber } from './output.ts'
import { progressReporter } from './progress.ts'

interface Options {
  readonly out: string
  readonly seconds: number
  readonly interval: number
  readonly json?: boolean
  readonly sysfsRoot?: string
  readonly tegrastats?: string
  readonly sensor?: string
  readonly meter?: string
}

/** `deapd record`: a fixture of this board, for tests and for a report of a fault. */
export function recordCommand(): Command {
  const command = new Command('record')
    .description('copy what deapd reads of this board, and a trace of its readings, into a folder; nothing is changed')
    .requiredOption('--out <dir>', 'new folder for root/, trace.jsonl and PROVENANCE.md')
    .option('--seconds <n>', 'length of the trace', realNumber('--seconds', 0), 30)
    .option('--interval <ms>', 'between two readings', wholeNumber('--interval', 20), 100)
    .option('--json', 'print {board, out, readings, unknown, files, unreadable, withheld, seconds}')
  const wanted = settingRows.filter(({ name }) => ['sysfs_root', 'tegrastats', 'sensor', 'meter'].includes(name))
  for (const { flag, argument, description } of wanted) command.option(`${flag} <${argument}>`, description)
  return command.action(async (options: Options) => {
    const { tegrastats, sensor, meter } = options
    const { settings } = loadSettings({ tegrastats, sensor, meter, sysfs_root: options.sysfsRoot }, process.env)
    const platform = choosePlatform({ ...settings, twin: '' }, stateFolder(settings.state, process.env))
    if (platform.simulated) {
      const detail = `${platform.why}. The tree of a simulated board is recorded with --sysfs-root STATE/twin`
      throw new DeapdError('board_not_found', { root: '/', detail })
    }
    const ending = new AbortController()
    process.once('SIGINT', () => ending.abort())
    const out = resolve(options.out)
    const { seconds, interval } = options
    const show = progressReporter()
    const recorded = await record(platform, {
      out,
      seconds,
      intervalMs: interval,
      settings,
      signal: ending.signal,
      onProgress: (now) => show(Math.min(seconds, Math.round(now)), seconds, 's'),
    })
    if (options.json) return printJson({ board: platform.board.id, out, ...wire(recorded) })
    print(`${platform.board.name}: ${platform.why}`)
    print(
      `${recorded.readings} readings in ${recorded.seconds.toFixed(1)} s and ${recorded.files.length} files in ${out}`,
    )
    if (recorded.unknown > 0) print(`${recorded.unknown} readings without a total: ${recorded.unknownReason}`)
    for (const path of recorded.withheld) print(`left out, for it looks identifying: ${path}`)
  })
}

const wire = ({ unknownReason, ...rest }: Awaited<ReturnType<typeof record>>) => ({
  ...rest,
  unknown_reason: unknownReason,
})
