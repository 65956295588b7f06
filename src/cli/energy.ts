import { Command } from 'commander'
import { print, printJson, table } from './output.ts'
import { request, urlOption } from './remote.ts'

/** What /v1/power says of energy, as far as this command shows it. */
interface EnergyView {
  readonly energy: Readonly<Record<string, number | string | null>>
}

const shown: readonly (readonly [key: string, what: string, unit: string])[] = [
  ['total_joules', 'since this installation began', 'J'],
  ['request_joules', 'booked to answers since start', 'J'],
  ['cancelled_joules', 'of it, cancelled answers', 'J'],
  ['failed_joules', 'of it, failed answers', 'J'],
  ['idle_joules', 'booked to no answer', 'J'],
  ['daemon_joules', 'the daemon without its engine (estimated from CPU time)', 'J'],
  ['unknown_seconds', 'without a reading, in no total', 's'],
  ['joules_per_token', 'per generated token', 'J'],
  ['gco2eq_total', 'carbon of the total', 'g CO2eq'],
  ['battery_percent', 'battery', '%'],
  ['battery_hours_left', 'at the present power', 'h'],
  ['battery_tokens_left', 'at the joules per token', 'tokens'],
]

/** `deapd energy`: the books of the running daemon. */
export const energyCommand = (): Command =>
  new Command('energy')
    .description('show what the running daemon has used, and for what')
    .addOption(urlOption())
    .option('--csv', 'print the run and its energy windows in CodeCarbon’s columns')
    .option('--json', 'print the energy part of the snapshot')
    .action(async ({ url, csv, json }: { url: string; csv?: boolean; json?: boolean }) => {
      if (csv) {
        process.stdout.write(await (await request(url, '/v1/energy/export.csv')).text())
        return
      }
      const { energy } = (await (await request(url, '/v1/power')).json()) as EnergyView
      if (json) {
        printJson(energy)
        return
      }
      print(`${energy.method}`)
      print(
        table(
          shown.map(([key, what, unit]) => {
            const value = energy[key]
            return typeof value === 'number'
              ? [value.toPrecision(6), unit, what]
              : ['unknown', '', `${what}: ${energy[`${key}_reason`]}`]
          }),
        ),
      )
    })
