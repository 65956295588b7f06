import { Command } from 'commander'
import { print } from './output.ts'
import { describePower, events, type PowerView, request, urlOption } from './remote.ts'

const clearScreen = '\x1b[2J\x1b[H'

/** `deapd top`: the status, redrawn as it changes. */
export const topCommand = (): Command =>
  new Command('top')
    .description('watch the running daemon')
    .addOption(urlOption())
    .action(async ({ url }: { url: string }) => {
      for await (const data of events(await request(url, '/v1/power/stream'))) {
        const lines = describePower(JSON.parse(data) as PowerView)
        if (process.stdout.isTTY) print(`${clearScreen}${lines.join('\n')}`)
        else print(lines.slice(1, 3).join('  '))
      }
    })
