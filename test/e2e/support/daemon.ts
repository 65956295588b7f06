import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

export const repository = fileURLToPath(new URL('../../..', import.meta.url))
/** The built command: these tests see what a user starts, not the sources. */
export const main = join(repository, 'dist/main.js')

/**
 * A folder for processes that the test starts. tap removes a test's folder before it runs the teardowns that were registered after
 * it, so it would go from under a running process; with one registered first it goes last.
 */
export function workFolder(t: Test): string {
  t.teardown(() => {})
  return t.testdir()
}

/** How a process ended and how long that took from the signal on. */
export interface Ending {
  readonly code: number | null
  readonly signal: string | null
  readonly ms: number
}

/** What these tests read of the snapshot on the wire. */
export interface Power {
  readonly power: { readonly total_watts: number; readonly budget_watts: number; readonly budget_source: string }
  readonly clocks: { readonly gpu_cap_hz: number; readonly gpu_cap_applied_hz: number }
  readonly governor: {
    readonly level: number
    readonly reason: string
    readonly explanation: string
    readonly longest_gap_ms: number
    readonly ticks: number
  }
  readonly engine: {
    readonly state: string
    readonly pid: number | null
    readonly restarts: number
    readonly active_requests: number
    readonly tokens_total: number
  }
}

/** The energy bill of an answer, as it goes out in `usage`. */
export interface Bill {
  readonly joules: number
  readonly gco2eq: number
  readonly method: string
  readonly degraded: boolean
  readonly levels: Readonly<Record<string, number>>
}

export interface RunningDaemon {
  readonly url: string
  readonly mqttUrl: string | null
  /** `deapd/v1/<site>/<device>`, or null without MQTT. */
  readonly topics: string | null
  readonly stateDir: string
  readonly banner: readonly string[]
  /** What it wrote to standard error so far. */
  log(): string
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Ending>
  json(path: string, init?: RequestInit): Promise<unknown>
  power(): Promise<Power>
  /** Waits until the snapshot is as wanted; the test's own time limit is the limit. */
  powerWhen(wanted: (power: Power) => boolean): Promise<Power>
}

const startSeconds = 60

/**
 * Starts `deapd serve` on free ports with a state folder of its own and waits for its last banner line. It is ended with the
 * test. The bundled model is served, or the one that DEAPD_MODEL names.
 */
export async function startDaemon(
  t: Test,
  options: { args?: string[]; stateDir?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<RunningDaemon> {
  const stateDir = options.stateDir ?? workFolder(t)
  const args = ['--state', stateDir, '--listen', '127.0.0.1:0', '--mqtt', 'embedded:0', ...(options.args ?? [])]
  const child = spawn(process.execPath, [main, 'serve', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: options.env ?? process.env,
  })
  const exited = once(child, 'exit')
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  const end = async (signal: NodeJS.Signals): Promise<Ending> => {
    const from = performance.now()
    child.kill(signal)
    await exited
    return { code: child.exitCode, signal: child.signalCode, ms: performance.now() - from }
  }
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) await end('SIGKILL')
  })
  const banner = await readBanner(child, () => log)
  const found = (pattern: RegExp): string | null => pattern.exec(banner.join('\n'))?.[1] ?? null
  const url = found(/^ {2}page +(http:\/\/\S+)\/ui$/m)
  if (url === null) throw new Error(`no address of the page in:\n${banner.join('\n')}`)

  const json: RunningDaemon['json'] = async (path, init) => (await fetch(url + path, init)).json()
  const power = async () => (await json('/v1/power')) as Power
  return {
    url,
    mqttUrl: found(/^ {2}MQTT +(mqtts?:\/\/\S+)/m),
    topics: found(/^ {2}MQTT .*topics (\S+)\/#$/m),
    stateDir,
    banner,
    log: () => log,
    end,
    json,
    power,
    async powerWhen(wanted) {
      for await (const snapshot of snapshots(url)) if (wanted(snapshot)) return snapshot
      throw new Error('the stream of snapshots ended')
    },
  }
}

async function readBanner(child: ChildProcess, log: () => string): Promise<string[]> {
  const lines: string[] = []
  const late = setTimeout(() => child.kill('SIGKILL'), startSeconds * 1000)
  try {
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      lines.push(line)
      if (line.startsWith('ready')) return lines
    }
  } finally {
    clearTimeout(late)
    // What it prints later must not fill the pipe and stop it.
    child.stdout?.resume()
  }
  throw new Error(`deapd ended before it was ready, or was not ready within ${startSeconds} s:\n${log()}`)
}

/** The snapshots of /v1/power/stream, until the reader stops. */
export async function* snapshots(url: string): AsyncGenerator<Power> {
  const ending = new AbortController()
  try {
    const reply = await fetch(`${url}/v1/power/stream`, { signal: ending.signal })
    let rest = ''
    for await (const piece of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length))
    }
  } finally {
    ending.abort()
  }
}

/** Runs one command line of deapd to its end. */
export async function deapd(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return run(process.execPath, [main, ...args])
}

const runSeconds = 60

/** Runs a program to its end, which comes after a minute at the latest: a program that hangs is a failure, not a wait. */
export async function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const limit = { timeout: runSeconds * 1000, killSignal: 'SIGKILL' } as const
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...limit, ...options })
  const [stdout, stderr] = [child.stdout, child.stderr].map(async (stream) => {
    let text = ''
    for await (const piece of stream.setEncoding('utf8')) text += piece
    return text
  })
  const [code] = await once(child, 'close')
  return { code, stdout: await stdout, stderr: await stderr }
}

/** A port that was free a moment ago, for programs that cannot tell which one they took. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/**
 * For the `skip` of a test that needs programs of Debian packages: false when they are there, else what to install. In CI
 * nothing may be skipped, so there it is a failure.
 */
export function without(...packages: ReadonlyArray<readonly [program: string, debianPackage: string]>): false | string {
  const folders = (process.env.PATH ?? '').split(':').concat('/usr/sbin')
  const absent = packages.filter(([program]) => !folders.some((folder) => existsSync(join(folder, program))))
  if (absent.length === 0) return false
  const reason = `${absent.map(([program]) => program).join(', ')} not found: apt-get install ${absent.map(([, name]) => name).join(' ')}`
  if (process.env.CI) t.fail(`in CI nothing may be skipped: ${reason}`)
  return reason
}
