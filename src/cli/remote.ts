import { Option } from 'commander'
import { DeapdError, detailOf, exitOf } from '../errors.ts'

/** The `--url` option of the commands that talk to a running daemon. */
export const urlOption = (): Option =>
  new Option('--url <url>', 'address of the daemon').env('DEAPD_URL').default('http://127.0.0.1:8717')

/** A request to the running daemon; throws `daemon_unreachable`, `bad_usage` for what the caller got wrong, or `daemon_refused`. */
export async function request(url: string, path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response
  try {
    response = await fetch(new URL(path, url), init)
  } catch (error) {
    const cause = error instanceof Error && error.cause ? detailOf(error.cause) : detailOf(error)
    throw new DeapdError('daemon_unreachable', { url, detail: cause }, error)
  }
  if (response.ok) return response
  const { message, code } = refusalOf(await response.text(), response.status)
  if (exitOf(code) === 2) throw new DeapdError('bad_usage', { detail: message })
  throw new DeapdError('daemon_refused', { url, detail: message })
}

function refusalOf(body: string, status: number): { readonly message: string; readonly code: string } {
  try {
    const { error } = JSON.parse(body)
    return typeof error === 'string'
      ? { message: error, code: '' }
      : { message: String(error.message), code: error.code }
  } catch {
    return { message: `HTTP ${status}`, code: '' }
  }
}

/** The `data:` lines of a server-sent event stream, until it ends. */
export async function* events(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of response.body ?? []) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length)
  }
}

/** What /v1/power says, as far as the commands show it. */
export interface PowerView {
  readonly board: { readonly name: string; readonly simulated: boolean }
  readonly power: {
    readonly total_watts: number | null
    readonly total_watts_reason: string | null
    readonly total_rule: string
    readonly budget_watts: number
    readonly budget_source: string
    readonly lease_until: string | null
  }
  readonly thermal: { readonly tj_celsius: number | null }
  readonly clocks: { readonly gpu_cap_hz: number; readonly gpu_hz: number | null }
  readonly governor: {
    readonly level: number
    readonly levels: number
    readonly share: number
    readonly reason: string
    readonly explanation: string
    readonly degraded: boolean
    readonly hold_gpu_hz: number | null
    readonly hold_level: number | null
    readonly hold_source: string
    readonly hold_lease_until: string | null
  }
  readonly alarms: { readonly text: Readonly<Record<string, string>> }
  readonly engine: {
    readonly state: string
    readonly model: string
    readonly active_requests: number
    readonly queued_requests: number
    readonly tokens_per_second: number
    readonly tokens_total: number
  }
  readonly energy: {
    readonly total_joules: number
    readonly joules_per_token: number | null
    readonly method: string
    readonly gco2eq_total: number
  }
}

const known = (value: number | null, digits: number, unit: string, reason = 'unknown'): string =>
  value === null ? reason : `${value.toFixed(digits)} ${unit}`

/** What is held by hand, in words. */
export function describeHold(hold: {
  readonly gpu_hz: number | null
  readonly level: number | null
  readonly source: string
  readonly lease_until: string | null
}): string {
  if (hold.source === 'none') return 'nothing is held by hand'
  const clock = hold.gpu_hz === null ? [] : [`GPU cap ${Math.floor(hold.gpu_hz / 1e6)} MHz`]
  const level = hold.level === null ? [] : [`level ${hold.level}`]
  return `${[...clock, ...level].join(', ')}, set by ${hold.source}${hold.lease_until ? `, until ${hold.lease_until}` : ''}`
}

/** The snapshot in a few lines for people. */
export function describePower(view: PowerView): string[] {
  const { board, power, thermal, clocks, governor, engine, energy } = view
  const lease = power.lease_until ? `, until ${power.lease_until}` : ''
  const { hold_gpu_hz: gpu_hz, hold_level: level, hold_source: source, hold_lease_until: lease_until } = governor
  const held = { gpu_hz, level, source, lease_until }
  return [
    `board     ${board.name}${board.simulated ? ' (simulated)' : ''}`,
    `power     ${known(power.total_watts, 1, 'W', power.total_watts_reason ?? 'unknown')} (${power.total_rule}) of ${power.budget_watts} W, set by ${power.budget_source}${lease}`,
    `governor  ${governor.reason}: ${governor.explanation}`,
    ...(governor.hold_source === 'none' ? [] : [`hold      ${describeHold(held)}`]),
    `level     ${governor.level} of ${governor.levels - 1}, ${(governor.share * 100).toFixed(0)} % of the weights${governor.degraded ? ', degraded' : ''}`,
    `clock     GPU cap ${(clocks.gpu_cap_hz / 1e6).toFixed(0)} MHz, at ${known(clocks.gpu_hz === null ? null : clocks.gpu_hz / 1e6, 0, 'MHz')}`,
    `heat      ${known(thermal.tj_celsius, 1, '°C')}`,
    `engine    ${engine.state}, ${engine.model}, ${engine.active_requests} active, ${engine.queued_requests} waiting, ${engine.tokens_per_second.toFixed(1)} tokens/s`,
    ...Object.entries(view.alarms.text).map(([id, text]) => `alarm     ${id}: ${text}`),
    `energy    ${energy.total_joules.toFixed(0)} J in all (${energy.method}), ${known(energy.joules_per_token, 2, 'J/token', 'no tokens yet')}, ${energy.gco2eq_total.toFixed(3)} g CO2eq`,
  ]
}
