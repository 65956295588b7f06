#!/usr/bin/env node
// Does the built daemon grow while it serves? A steady mix of requests on the simulated board, memory and descriptors every 10 s.
//   npm run soak -- [--minutes 30] [--dist DIR] [--json]
// The first half is warm-up. A line through the means of the minutes of the second half is growth per hour; means, because
// samples ten seconds apart are not independent. Exit 1 when a bar is missed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import mqtt from 'mqtt'

const { values: given } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    dist: { type: 'string', default: fileURLToPath(new URL('../dist', import.meta.url)) },
    json: { type: 'boolean', default: false },
  },
})
const minutes = Number(given.minutes)
if (!(minutes >= 1)) throw new Error('--minutes must be at least 1')
const sampleMs = 10_000
const requestMs = 5000
/** Beyond noise: the whole interval above it is a miss, the whole below it holds, anything else is not decided. */
const barMbPerHour = 3

const folder = mkdtempSync(join(tmpdir(), 'deapd-soak-'))
const statusOf = (pid, name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

/** The engine is the daemon's child. */
const childOf = (pid) =>
  readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && parentOf(entry) === pid && /child/.test(commandOf(entry)))
const parentOf = (entry) => {
  try {
    return statusOf(entry, 'PPid')
  } catch {
    return null // Ended since the folder was listed.
  }
}
const commandOf = (entry) => readFileSync(`/proc/${entry}/cmdline`, 'utf8')

/** One process: resident and collected memory, descriptors, handles. */
async function look(pid) {
  const path = join(folder, `${pid}.json`)
  const askedAtMs = Date.now()
  process.kill(Number(pid), 'SIGUSR2')
  let probe = null
  for (let waited = 0; waited < 3000 && probe === null; waited += 50) {
    await sleep(50)
    probe = readAfter(path, askedAtMs)
  }
  return {
    pid,
    rssMb: (statusOf(pid, 'VmRSS') * 1024) / 1e6,
    heapMb: probe === null ? null : probe.heapBytes / 1e6,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    handles: probe?.handles ?? null,
  }
}

function readAfter(path, ms) {
  try {
    return statSync(path).mtimeMs >= ms ? JSON.parse(readFileSync(path, 'utf8')) : null
  } catch {
    return null
  }
}

/** What clients do, one after the other: answers streamed and whole, given up, refused, and budgets that come and go. */
function mixOf(url, model) {
  const send = (method, path, body, signal) =>
    fetch(`${url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal,
    })
  const chat = (stream, content) => ({ model, stream, max_tokens: 32, messages: [{ role: 'user', content }] })
  const wanted = (status) => (reply) => {
    if (reply.status !== status) throw new Error(`${reply.url} answered ${reply.status}, not ${status}`)
    return reply.text()
  }
  const cancelled = async () => {
    const end = new AbortController()
    const reply = await send(
      'POST',
      '/v1/chat/completions',
      chat(true, 'Tell me a long story of order 4711.'),
      end.signal,
    )
    await reply.body.getReader().read()
    end.abort()
  }
  return [
    () => send('POST', '/v1/chat/completions', chat(false, 'Where is order 4711?')).then(wanted(200)),
    () => send('POST', '/v1/chat/completions', chat(true, 'Where is order 4712?')).then(wanted(200)),
    () => send('PUT', '/v1/power/budget', { watts: 32, lease_s: 12 }).then(wanted(200)),
    () =>
      send('POST', '/api/chat', { ...chat(true, 'Is order 4713 late?'), options: { num_predict: 24 } }).then(
        wanted(200),
      ),
    cancelled,
    () => send('POST', '/v1/chat/completions', '{"model": 1').then(wanted(400)),
    () => send('PUT', '/v1/power/budget', { watts: -5 }).then(wanted(400)),
    () => send('POST', '/v1/completions', { model, prompt: 'Order', max_tokens: 24 }).then(wanted(200)),
    () => fetch(`${url}/metrics`).then(wanted(200)),
  ]
}

/** Slope per hour of the minutes' means, with its 95 % interval. */
function growth(samples, value) {
  const groups = new Map()
  for (const sample of samples) {
    const minute = Math.floor(sample.atMs / 60_000)
    if (value(sample) !== null) groups.set(minute, [...(groups.get(minute) ?? []), value(sample)])
  }
  const points = [...groups].map(([minute, values]) => [minute / 60, values.reduce((a, b) => a + b, 0) / values.length])
  const n = points.length
  if (n < 3) return null
  const mean = (at) => points.reduce((sum, point) => sum + point[at], 0) / n
  const [mx, my] = [mean(0), mean(1)]
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx
  const left = points.reduce((sum, [x, y]) => sum + (y - my - slope * (x - mx)) ** 2, 0)
  return { first: points[0][1], last: points[n - 1][1], slope, half: student(n - 2) * Math.sqrt(left / (n - 2) / sxx) }
}

/** 97.5 % point of Student's t, within 1 % from 3 degrees of freedom on (Cornish-Fisher); below that, from the table. */
function student(freedom) {
  if (freedom < 3) return [12.706, 4.303][freedom - 1]
  const z = 1.95996
  const [g1, g2] = [(z ** 3 + z) / 4, (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96]
  return z + g1 / freedom + g2 / freedom ** 2 + (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384 / freedom ** 3
}

/** Connections of the moment come and go: what must not grow is the fewest of each quarter. */
function fewest(samples, value) {
  const least = (part) => Math.min(...part.map(value).filter((one) => one !== null))
  const quarter = Math.max(1, Math.floor(samples.length / 4))
  return { first: least(samples.slice(0, quarter)), last: least(samples.slice(-quarter)) }
}

function verdicts(samples) {
  const rows = []
  for (const who of ['daemon', 'engine']) {
    for (const [what, key] of [
      ['resident', 'rssMb'],
      ['heap after a collection', 'heapMb'],
    ]) {
      const found = growth(samples, (sample) => sample[who][key])
      if (found === null) {
        rows.push([who, what, '', '', 'too few samples', 'undecided'])
        continue
      }
      const { first, last, slope, half } = found
      const verdict = slope + half < barMbPerHour ? 'holds' : slope - half > barMbPerHour ? 'MISSES' : 'undecided'
      const rate = `${slope.toFixed(2)} ± ${half.toFixed(2)} MB/h`
      rows.push([who, what, `${first.toFixed(1)} MB`, `${last.toFixed(1)} MB`, rate, verdict])
    }
    for (const what of ['descriptors', 'handles']) {
      const { first, last } = fewest(samples, (sample) => sample[who][what])
      const verdict = samples.length < 40 ? 'undecided' : last <= first ? 'holds' : 'MISSES'
      rows.push([who, what, first, last, last - first, verdict])
    }
  }
  return rows
}

let daemon
let engineChanged = false
const failures = []
const asked = { total: 0, messages: 0, events: 0 }
try {
  const probe = new URL('./soak-probe.mjs', import.meta.url).href
  const args = [join(given.dist, 'main.js'), 'serve', '--twin', 'agx-orin-64gb', '--state', join(folder, 'state')]
  daemon = spawn(
    process.execPath,
    [...args, '--listen', '127.0.0.1:0', '--mqtt', 'embedded:0', '--log-level', 'error'],
    {
      env: { ...process.env, NODE_OPTIONS: `--import ${probe}`, SOAK_PROBE_DIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let said = ''
  for await (const piece of daemon.stdout.iterator({ destroyOnReturn: false })) {
    said += piece
    if (said.includes('ready;')) break
  }
  daemon.stdout.resume()
  const url = /http:\/\/[\d.:]+/.exec(said)?.[0]
  if (!url) throw new Error(`the daemon did not start: ${said}`)
  const engine = childOf(daemon.pid)
  if (!engine) throw new Error('the engine process was not found')
  const fleet = await mqtt.connectAsync(/mqtt:\/\/[\d.:]+/.exec(said)[0])
  fleet.on('message', () => {
    asked.messages++
  })
  await fleet.subscribeAsync('deapd/v1/#')
  const watching = new AbortController()
  const stream = await fetch(`${url}/v1/power/stream`, { signal: watching.signal })
  const watcher = (async () => {
    for await (const _ of stream.body) asked.events++
  })().catch((error) => {
    if (!watching.signal.aborted) failures.push(String(error))
  })
  const { data } = await (await fetch(`${url}/v1/models`)).json()
  const mix = mixOf(url, data[0].id)

  const endMs = performance.now() + minutes * 60_000
  const startMs = performance.now()
  const samples = []
  const asking = (async () => {
    for (let at = 0; performance.now() < endMs; at++) {
      const nextMs = performance.now() + requestMs
      await mix[at % mix.length]().catch((error) => failures.push(error.message))
      asked.total++
      await sleep(Math.max(0, nextMs - performance.now()))
    }
  })()
  while (performance.now() < endMs) {
    const nextMs = performance.now() + sampleMs
    const sample = { atMs: performance.now() - startMs, daemon: await look(daemon.pid), engine: await look(engine) }
    samples.push(sample)
    if (given.json) console.log(JSON.stringify(sample))
    await sleep(Math.max(0, nextMs - performance.now()))
  }
  await asking
  engineChanged = childOf(daemon.pid) !== engine
  watching.abort()
  await watcher
  await fleet.endAsync()

  const half = samples.filter(({ atMs }) => atMs >= (minutes * 60_000) / 2)
  const rows = verdicts(half)
  console.log(
    `${minutes} minutes on the simulated board: ${asked.total} requests (answers, and as many given up, refused, or budget orders),`,
  )
  console.log(
    `${asked.events} pieces of the power stream, ${asked.messages} MQTT messages, ${samples.length} samples, ${failures.length} failures. Second half:`,
  )
  console.log(
    `\n| process | what | its first | its last | growth | bar: below ${barMbPerHour} MB/h, no more descriptors |`,
  )
  console.log('|---|---|---|---|---|---|')
  for (const row of rows) console.log(`| ${row.join(' | ')} |`)
  for (const failure of new Set(failures)) console.log(`failed: ${failure}`)
  if (engineChanged) console.log('failed: the engine was restarted')
  if (failures.length > 0 || engineChanged || rows.some((row) => row.at(-1) === 'MISSES')) process.exitCode = 1
} finally {
  if (daemon && daemon.exitCode === null) {
    daemon.kill('SIGTERM')
    await once(daemon, 'exit')
  }
  rmSync(folder, { recursive: true, force: true })
}
