import { Command } from 'commander'
import { DeapdError } from '../errors.ts'
import { print, printJson } from './output.ts'
import { request, urlOption } from './remote.ts'

const unitSeconds: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 }

/** Seconds of a lease such as `900`, `90s`, `15m` or `2h`; throws `lease_invalid`. */
export function leaseSeconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(text.trim())
  const seconds = match ? Number(match[1]) * unitSeconds[match[2]] : 0
  if (!(seconds > 0)) throw new DeapdError('lease_invalid', { value: text })
  return seconds
}

interface BudgetView {
  readonly watts: number
  readonly source: string
  readonly lease_until: string | null
  readonly min_watts: number
  readonly max_watts: number
}

/** `deapd budget`: shows or changes the watt budget of the running daemon. */
export const budgetCommand = (): Command =>
  new Command('budget')
    .description('show or set the watt budget of the running daemon')
    .argument('[watts]', 'new budget in watts')
    .option('--lease <time>', 'fall back to the configured budget after this time, for example 15m')
    .addOption(urlOption())
    .option('--json', 'print the budget as /v1/power/budget gives it')
    // A negative number looks like an option; it must reach us to be refused with the right words.
    .allowUnknownOption()
    .action(
      async (watts: string | undefined, { url, lease, json }: { url: string; lease?: string; json?: boolean }) => {
        const change = watts === undefined ? undefined : await body(url, watts, lease)
        const view = (await (await request(url, '/v1/power/budget', change)).json()) as BudgetView
        if (json) return printJson(view)
        print(`${view.watts} W, set by ${view.source}${view.lease_until ? `, until ${view.lease_until}` : ''}`)
      },
    )

async function body(url: string, watts: string, lease: string | undefined): Promise<RequestInit> {
  const number = Number(watts)
  if (watts.trim() === '' || !Number.isFinite(number) || number <= 0) {
    const { min_watts, max_watts } = (await (await request(url, '/v1/power/budget')).json()) as BudgetView
    throw new DeapdError('budget_invalid', {
      value: watts,
      board: 'this board',
      minWatts: min_watts,
      maxWatts: max_watts,
    })
  }
  const order = { watts: number, source: 'cli', ...(lease === undefined ? {} : { lease_s: leaseSeconds(lease) }) }
  return { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(order) }
}
