import { buildApp } from '../api/app.ts'
import { listen } from '../api/listen.ts'
import type { ApiDeps } from '../api/ports.ts'
import type { Settings } from '../config/schema.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'

const bodyLimitBytes = 1 << 20
/** Answers that run when the daemon stops get this long: Ctrl-C ends everything within 5 s. */
const drainMs = 1500

/** Opens the HTTP side over the daemon's ports and returns its address. */
export async function openHttp(
  deps: Omit<ApiDeps, 'settings'>,
  {
    address,
    settings,
    log,
    lifecycle,
  }: {
    readonly address: { host: string; port: number }
    readonly settings: Settings
    readonly log: Log
    readonly lifecycle: Lifecycle
  },
): Promise<string> {
  const access = {
    allowedHosts: [address.host, ...list(settings.allowed_hosts)],
    allowedOrigins: list(settings.allowed_origins),
    bodyLimitBytes,
  }
  const app = buildApp({ ...deps, settings: access }, { loggerInstance: log, timing: { drainMs } })
  lifecycle.add('HTTP', () => app.close())
  return listen(app, address)
}

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
