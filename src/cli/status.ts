import { Command } from 'commander'
import { print, printJson } from './output.ts'
import { describePower, type PowerView, request, urlOption } from './remote.ts'

/** `deapd status`: what the running daemon is doing. */
export const statusCommand = (): Command =>
  new Command('status')
    .description('show what the running daemon is doing')
    .addOption(urlOption())
    .option('--json', 'print the snapshot as /v1/power gives it')
    .action(async ({ url, json }: { url: string; json?: boolean }) => {
      const view = (await (await request(url, '/v1/power')).json()) as PowerView
      if (json) return printJson(view)
      for (const line of describePower(view)) print(line)
      const { previous } = (await (await request(url, '/v1/power/blackbox')).json()) as {
        previous: { ended_at: string; rows: readonly unknown[] } | null
      }
      if (previous === null) return
      const { ended_at, rows } = previous
      print(`last run  ended at ${ended_at} without a stop; its last ${rows.length} records: ${url}/v1/power/blackbox`)
    })
