import { Command } from 'commander'
import { loadSettings, stateFolder } from '../config/load.ts'
import { settingRows } from '../config/schema.ts'
import type { Check } from '../daemon/check.ts'
import { checks } from '../daemon/doctor.ts'
import { print, printJson } from './output.ts'

const marks: Readonly<Record<Check['result'], string>> = { pass: 'ok  ', warn: 'warn', fail: 'FAIL' }

/** The settings that change what is looked at. */
const examined = ['model', 'state', 'twin', 'sysfs_root', 'tegrastats', 'sensor', 'meter', 'mqtt'] as const

/** `deapd doctor`: one line per check, pass or fail, with what to do. Exit 1 when one fails. */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description('check this machine and installation; nothing is changed')
    .option('--config <file>', 'settings as JSON')
    .option('--json', 'print [{name, result, code, detail, hint}]')
  const wanted = settingRows.filter(({ name }) => examined.some((one) => one === name))
  for (const { flag, argument, description } of wanted) command.option(`${flag} <${argument}>`, description)
  return command.action(async (options: Record<string, string | undefined> & { json?: boolean; config?: string }) => {
    const { settings } = loadSettings({ ...options, sysfs_root: options.sysfsRoot }, process.env, options.config)
    const results: Check[] = []
    for (const check of checks) {
      const result = await check({ settings, stateDir: stateFolder(settings.state, process.env) })
      results.push(result)
      if (options.json) continue
      const code = result.code === null ? '' : `[${result.code}] `
      print(`${marks[result.result]}  ${result.name.padEnd(10)} ${code}${result.detail}`)
      if (result.hint) print(`                 ${result.hint}`)
    }
    if (options.json) printJson(results)
    if (results.some(({ result }) => result === 'fail')) process.exitCode = 1
  })
}
