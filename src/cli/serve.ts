import { Command } from 'commander'
import { loadSettings } from '../config/load.ts'
import { settingRows } from '../config/schema.ts'
import { createLog } from '../daemon/log.ts'
import { askForPrecedence } from '../daemon/precedence.ts'
import { type Daemon, serve } from '../daemon/serve.ts'
import { version } from '../version.ts'
import { print } from './output.ts'

/** The signals that end the daemon; a second one ends it at once. */
const endings = ['SIGINT', 'SIGTERM'] as const

/** `deapd serve`: the daemon itself, until a signal ends it. */
export function serveCommand(): Command {
  const command = new Command('serve')
    .description('run the daemon: model, governor, API, page and MQTT')
    .option('--config <file>', 'settings as JSON (default: /etc/deapd/config.json when it is there)')
  for (const { flag, argument, description } of settingRows) command.option(`${flag} <${argument}>`, description)
  return command.action(async (options: Record<string, string | undefined>) => {
    const flags = Object.fromEntries(
      settingRows.map(({ name }) => [name, options[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())]]),
    )
    const { settings, warnings } = loadSettings(flags, process.env, options.config)
    const log = createLog(settings.log_level)
    for (const warning of warnings) log.warn({}, warning)
    // From the first moment: a load of minutes can be ended too, and leaves the clocks as they were.
    const end = ending()
    const first = await askForPrecedence()
    log.info(
      {},
      first
        ? 'the governor runs before ordinary programs (real-time priority 1)'
        : 'the governor has an ordinary program’s priority; a real-time limit of 1 (LimitRTPRIO=1, ulimit -r 1) lets it run first',
    )
    const daemon = await serve(settings, process.env, log, end)
    if (daemon === null) return print('stopped before it was ready; the clocks are as they were')
    for (const line of banner(daemon, settings.as_if)) print(line)
    await end
    print('stopping …')
    const faults = await daemon.stop()
    for (const fault of faults) log.error({}, fault)
    print(faults.length === 0 ? 'stopped; the clocks are as they were' : `stopped with faults: ${faults.join('; ')}`)
    process.exitCode = faults.length === 0 ? 0 : 1
  })
}

function banner(daemon: Daemon, asIf: string): string[] {
  const { url, mqttUrl, device, platform, model, budgetWatts, levels, site } = daemon
  const board = platform.simulated ? `${platform.board.name}, simulated` : `${platform.board.name} (${platform.why})`
  const charged = platform.simulated && asIf !== 'none' ? `, charged and paced as ${asIf} int4 (simulated)` : ''
  const broker = mqttUrl ? `${mqttUrl}  topics deapd/v1/${site}/${device}/#` : 'none'
  return [
    `deapd ${version}`,
    `  page   ${url}/ui`,
    `  API    ${url}/v1 (OpenAI) and ${url} (Ollama)`,
    `  MQTT   ${broker}`,
    `  board  ${board}, budget ${budgetWatts} W`,
    `  model  ${model}, ${levels} levels${charged}`,
    `ready; Ctrl-C ends it`,
  ]
}

/** Resolves at the first ending signal; the second one leaves at once, and `deapd restore` puts the clocks back. */
function ending(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of endings) {
      process.on(signal, () => {
        if (asked) process.exit(130)
        asked = true
        resolve()
      })
    }
  })
}
