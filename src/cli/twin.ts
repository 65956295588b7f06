import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Argument, Command, Option } from 'commander'
import { stateFolder } from '../config/load.ts'
import { choosePlatform } from '../daemon/platform.ts'
import { monotonicMs } from '../engine/protocol.ts'
import { DeapdError } from '../errors.ts'
import { injectFaults } from '../twin/fault-file.ts'
import { type FaultKind, faultKinds, faultOf } from '../twin/faults.ts'
import { publishedRows } from '../twin/published.ts'
import { dialects } from '../twin/tegrastats-dialects.ts'
import { openTegrastats } from '../twin/tegrastats-tree.ts'
import { groupErrors, relativeError } from '../twin/validate.ts'
import { print, printJson, realNumber, table, wholeNumber } from './output.ts'

/** `deapd twin`: what the simulated board is worth, its tegrastats, and faults for a running one. */
export const twinCommand = (): Command =>
  new Command('twin')
    .description('the simulated board: what its model is worth, faults to inject, its tegrastats')
    .addCommand(validateCommand())
    .addCommand(faultCommand())
    .addCommand(tegrastatsCommand())

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`
const signed = (share: number): string => (share >= 0 ? '+' : '') + percent(share)

const validateCommand = (): Command =>
  new Command('validate')
    .description('the model of the simulated boards beside published figures of real ones')
    .option('--json', 'print {rows, groups}')
    .action(({ json }: { json?: boolean }) => {
      const rows = publishedRows()
      const groups = groupErrors(rows)
      if (json) {
        printJson({
          rows: rows.map((row) => ({ ...row, error: relativeError(row) })),
          groups: groups.map(({ medianError, largestError, ...group }) => ({
            ...group,
            median_error: medianError,
            largest_error: largestError,
          })),
        })
        return
      }
      const cells = rows.map((row) => [
        row.use,
        row.what,
        row.published.toFixed(2),
        row.ours.toFixed(2),
        row.unit,
        signed(relativeError(row)),
        row.source,
        row.note,
      ])
      print(table([['use', 'figure', 'published', 'ours', 'unit', 'error', 'source', 'note'], ...cells]))
      print()
      const summary = groups.map((group) => [
        group.use,
        group.group,
        group.rows,
        percent(group.medianError),
        percent(group.largestError),
        group.largest,
      ])
      print(table([['use', 'group', 'rows', 'median error', 'largest', 'where'], ...summary]))
    })

interface FaultOptions {
  readonly seconds: number
  readonly amount?: string
  readonly state?: string
}

const kinds = Object.keys(faultKinds) as FaultKind[]

const faultCommand = (): Command =>
  new Command('fault')
    .description('inject a fault into the simulated board of a running daemon; none ends the present one')
    .addArgument(new Argument('<kind>', 'what goes wrong').choices([...kinds, 'none']))
    .option('--seconds <s>', 'how long it lasts', realNumber('--seconds', 0), 10)
    .option('--amount <x>', 'how bad it is, in the unit of its kind')
    .option('--state <dir>', 'state folder of the daemon')
    .addHelpText(
      'after',
      `\n${kinds.map((kind) => `  ${kind.padEnd(14)} ${faultKinds[kind].says} (amount ${faultKinds[kind].amount}: ${faultKinds[kind].unit})`).join('\n')}`,
    )
    .action((kind: FaultKind | 'none', { seconds, amount, state }: FaultOptions) => {
      const root = join(stateFolder(state, process.env), 'twin')
      if (!existsSync(root)) throw new DeapdError('bad_usage', { detail: `There is no simulated board under ${root}.` })
      if (kind === 'none') {
        injectFaults(root, [])
        return
      }
      const size = amount === undefined ? faultKinds[kind].amount : Number(amount)
      if (!Number.isFinite(size))
        throw new DeapdError('bad_usage', { detail: `--amount must be a number, not "${amount}".` })
      const now = monotonicMs()
      injectFaults(root, [faultOf(kind, now, now + seconds * 1000, size)])
      print(`${faultKinds[kind].says}, for ${seconds} s`)
    })

interface TegrastatsOptions {
  readonly root?: string
  readonly state?: string
  readonly interval: number
  readonly dialect: string
}

const tegrastatsCommand = (): Command =>
  new Command('tegrastats')
    .description('print tegrastats lines of the simulated board of a running daemon, for --tegrastats')
    .option('--interval <ms>', 'milliseconds between lines', wholeNumber('--interval', 1), 1000)
    .option('--root <dir>', 'tree of the board (default: that of the daemon)')
    .option('--state <dir>', 'state folder of the daemon')
    .addOption(
      new Option('--dialect <id>', 'whose lines').choices(dialects.map(({ id }) => id)).default('r36-agx-orin'),
    )
    .action(async ({ root, state, interval, dialect }: TegrastatsOptions) => {
      const tree = root ?? join(stateFolder(state, process.env), 'twin')
      const { board } = choosePlatform({ twin: '', sysfs_root: tree }, '')
      const turn = openTegrastats(board, tree, dialect)
      for (let nextMs = monotonicMs(); ; nextMs += interval) {
        await sleep(Math.max(0, nextMs - monotonicMs()))
        const said = turn(monotonicMs())
        if (said === 'died') {
          process.exitCode = 1
          return
        }
        if (said !== 'hangs') print(said.line)
      }
    })
