#!/usr/bin/env node
// What the built daemon itself costs at rest and under load, without its engine: CPU, memory, bytes written, joules.
//   npm run figures:idle -- [--seconds 30] [--json]
// A still tree stands for the board: no twin, no broker, hwmon sensors read once a second at rest.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const repository = fileURLToPath(new URL('..', import.meta.url))
const { values: given } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, json: { type: 'boolean', default: false } },
})
const seconds = Number(given.seconds)
/** Of /proc/PID/stat: CPU time is counted in hundredths of a second on every Linux. */
const ticksPerSecond = 100
/** A busy core of the AGX Orin at 2.2 GHz, by the board's own figures: 1.5 W above idle at 1.2 cores (hardware.md §4.6). */
const wattsPerBusyCore = 1.25

function usage(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  const io = readFileSync(`/proc/${pid}/io`, 'utf8')
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    rssBytes: kilobytes('VmRSS') * 1024,
    writtenBytes: Number(/^write_bytes: (\d+)/m.exec(io)?.[1]),
  }
}

async function over(pid, ms) {
  const before = usage(pid)
  const from = performance.now()
  await sleep(ms)
  const after = usage(pid)
  const length = (performance.now() - from) / 1000
  const cores = (after.cpuSeconds - before.cpuSeconds) / length
  return {
    seconds: length,
    core_share: cores,
    rss_mb: after.rssBytes / 1e6,
    written_mb_per_day: ((after.writtenBytes - before.writtenBytes) / length) * 0.0864,
    watts: cores * wattsPerBusyCore,
  }
}

/** Streams answers until told to stop: only the daemon's part of the work is counted, the engine is another process. */
async function load(url, signal) {
  const { data } = await fetch(`${url}/v1/models`).then((response) => response.json())
  const body = JSON.stringify({ model: data[0].id, prompt: 'Tell me about order 4711.', max_tokens: 200 })
  while (!signal.aborted) {
    const reply = await fetch(`${url}/v1/completions`, { method: 'POST', body }).catch(() => null)
    await reply?.text().catch(() => '')
  }
}

const folder = mkdtempSync(join(tmpdir(), 'deapd-idle-'))
const dir = join(folder, 'board')
let daemon
try {
  // The example plant makes the tree; nobody moves it afterwards.
  const plant = spawn(process.execPath, [
    join(repository, 'examples/plant.mjs'),
    '--dir',
    dir,
    '--daemon',
    'http://127.0.0.1:9',
  ])
  await once(plant.stdout, 'data')
  await sleep(200)
  plant.kill('SIGKILL')
  const args = [
    'dist/main.js',
    'serve',
    '--sysfs-root',
    dir,
    '--state',
    join(folder, 'state'),
    '--listen',
    '127.0.0.1:0',
    '--mqtt',
    'none',
    '--log-level',
    'error',
  ]
  daemon = spawn(process.execPath, args, { cwd: repository, stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  for await (const piece of daemon.stdout) {
    said += piece
    if (said.includes('ready;')) break
  }
  const url = /http:\/\/[\d.:]+/.exec(said)[0]
  // Starting up is not rest: code is still being compiled.
  await sleep(5000)
  const idle = await over(daemon.pid, seconds * 1000)
  const ending = new AbortController()
  const asking = load(url, ending.signal)
  await sleep(1000)
  const busy = await over(daemon.pid, Math.min(15, seconds) * 1000)
  ending.abort()
  await asking
  const report = { idle, busy, bars: { core_share: 0.01, rss_mb: 120 } }
  if (given.json) console.log(JSON.stringify(report))
  else {
    const verdict = idle.core_share <= 0.01 && idle.rss_mb <= 120 ? 'meets' : 'MISSES'
    console.log(`The daemon alone, without its engine; at rest it ${verdict} the bars of 1 % of a core and 120 MB.`)
    console.log('| | CPU, of one core | resident | written | power on an AGX Orin (simulated) |')
    console.log('|---|---|---|---|---|')
    for (const [name, row] of [
      ['at rest', idle],
      ['answering all the time', busy],
    ]) {
      console.log(
        `| ${name} | ${(100 * row.core_share).toFixed(2)} % | ${row.rss_mb.toFixed(0)} MB | ${row.written_mb_per_day.toFixed(0)} MB a day | ${(1000 * row.watts).toFixed(0)} mW |`,
      )
    }
  }
} finally {
  daemon?.kill('SIGTERM')
  if (daemon && daemon.exitCode === null) await once(daemon, 'exit')
  rmSync(folder, { recursive: true, force: true })
}
