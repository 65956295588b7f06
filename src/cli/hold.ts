import { Command } from 'commander'
import { leaseSeconds } from './budget.ts'
import { print, printJson } from './output.ts'
import { describeHold, request, urlOption } from './remote.ts'

interface Options {
  readonly url: string
  readonly gpuMhz?: string
  readonly level?: string
  readonly lease?: string
  readonly release?: boolean
  readonly json?: boolean
}

interface HoldView {
  readonly gpu_hz: number | null
  readonly level: number | null
  readonly source: string
  readonly lease_until: string | null
}

/** `deapd hold`: shows, sets or ends the point that the governor is told to keep. */
export const holdCommand = (): Command =>
  new Command('hold')
    .description('show, set or release a point held by hand; budget, heat and faults still go below it')
    .option('--gpu-mhz <n>', 'GPU clock to hold, one of the board’s')
    .option('--level <n>', 'level to hold; 0 is the smallest sub-network')
    .option('--lease <time>', 'release it after this time, for example 15m')
    .option('--release', 'release it now')
    .addOption(urlOption())
    .option('--json', 'print the hold as /v1/power/hold gives it')
    .action(async (options: Options) => {
      const view = (await (await request(options.url, '/v1/power/hold', change(options))).json()) as HoldView
      if (options.json) return printJson(view)
      print(describeHold(view))
    })

function change({ gpuMhz, level, lease, release }: Options): RequestInit | undefined {
  if (release) return { method: 'DELETE' }
  if (gpuMhz === undefined && level === undefined && lease === undefined) return undefined
  const order = {
    gpu_mhz: number(gpuMhz),
    level: number(level),
    source: 'cli',
    ...(lease === undefined ? {} : { lease_s: leaseSeconds(lease) }),
  }
  return { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(order) }
}

/** What is no number goes out as it is, so that it is refused with the right words. */
const number = (text: string | undefined): number | string | undefined =>
  text === undefined || text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)
