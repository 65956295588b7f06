#!/usr/bin/env node
// Runs the built daemon on the example plant and prints whether the budget held, by the plant's own truth:
//   npm run figures:plant -- [--seconds 60] [--sensors hwmon,tegrastats:100,tegrastats:1000] [--scale 1] [--budget 50] [--json]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const repository = fileURLToPath(new URL('..', import.meta.url))
const plantScript = join(repository, 'examples/plant.mjs')
const { values: given } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    sensors: { type: 'string', default: 'hwmon,tegrastats:100,tegrastats:1000' },
    scale: { type: 'string', default: '1' },
    budget: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})

/** The last line that a program prints when it is asked to end. */
async function lastWords(child) {
  let said = ''
  child.stdout.on('data', (text) => {
    said += text
  })
  return async () => {
    child.kill('SIGTERM')
    await once(child, 'close')
    return said.trim().split('\n').at(-1)
  }
}

const said = (child, words) =>
  new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (piece) => {
      text += piece
      if (text.includes(words)) resolve(text)
    })
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it said "${words}"`)))
  })

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Bursts and pauses that do not fit any period of the law: from one to four streams at once. */
async function load(url, seconds, random) {
  const { data } = await fetch(`${url}/v1/models`).then((response) => response.json())
  const model = data[0].id
  const endMs = performance.now() + seconds * 1000
  let tokens = 0
  let refused = 0
  const stream = async (untilMs) => {
    while (performance.now() < untilMs) {
      const body = JSON.stringify({ model, prompt: 'Tell me about order 4711.', max_tokens: 200 })
      const reply = await fetch(`${url}/v1/completions`, { method: 'POST', body }).then(
        (response) => response.json(),
        () => null,
      )
      if (reply?.usage) tokens += reply.usage.completion_tokens
      else {
        refused += 1
        await sleep(50)
      }
    }
  }
  while (performance.now() < endMs) {
    const untilMs = Math.min(endMs, performance.now() + 300 + 4000 * random())
    await Promise.all(Array.from({ length: 1 + Math.floor(4 * random()) }, () => stream(untilMs)))
    await sleep(Math.min(Math.max(0, endMs - performance.now()), 1500 * random()))
  }
  return { tokens, refused }
}

function uniform(seed) {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296
    return state / 4294967296
  }
}

async function measure(sensor) {
  const folder = mkdtempSync(join(tmpdir(), 'deapd-plant-'))
  const dir = join(folder, 'board')
  const url = `http://127.0.0.1:${await freePort()}`
  const { budget, scale, seed } = given
  const plantArgs = [
    plantScript,
    '--dir',
    dir,
    '--daemon',
    url,
    '--sensor',
    sensor,
    '--budget',
    budget,
    '--scale',
    scale,
    '--seed',
    seed,
  ]
  const plant = spawn(process.execPath, plantArgs, { stdio: ['ignore', 'pipe', 'inherit'] })
  const endPlant = await lastWords(plant)
  let daemon
  try {
    await said(plant, 'plant ready')
    const args = [
      'dist/main.js',
      'serve',
      '--sysfs-root',
      dir,
      '--state',
      join(folder, 'state'),
      '--listen',
      url.slice(7),
      '--mqtt',
      'none',
      '--budget',
      budget,
      '--log-level',
      'error',
    ]
    if (sensor !== 'hwmon') args.push('--tegrastats', `${process.execPath} ${plantScript} --follow ${dir}`)
    daemon = spawn(process.execPath, args, { cwd: repository, stdio: ['ignore', 'pipe', 'inherit'] })
    await said(daemon, 'ready;')
    const work = await load(url, Number(given.seconds), uniform(Number(seed)))
    const truth = JSON.parse(await endPlant())
    return { sensor, scale: Number(scale), budget_watts: Number(budget), ...truth, ...work }
  } finally {
    plant.kill('SIGKILL')
    daemon?.kill('SIGTERM')
    if (daemon && daemon.exitCode === null) await once(daemon, 'exit')
    rmSync(folder, { recursive: true, force: true })
  }
}

const rows = []
for (const sensor of given.sensors.split(',')) rows.push(await measure(sensor))
if (given.json) console.log(JSON.stringify({ rows }))
else {
  console.log(
    'A foreign plant (examples/plant.mjs); power is the plant’s own, not the reading. Simulated: no board was involved.',
  )
  console.log(
    '| sensor | plant | 1 s windows over budget | worst 1 s | mean | longest > 2 % over | engine busy | tokens |',
  )
  console.log('|---|---|---|---|---|---|---|---|')
  for (const row of rows) {
    const share = `${row.windows_over} of ${row.windows} (${(100 * row.share_over).toFixed(2)} %)`
    const watts = (value) => `${value.toFixed(1)} W`
    console.log(
      `| ${row.sensor} | ×${row.scale}, ${row.budget_watts} W | ${share} | ${watts(row.worst_second_watts)} | ${watts(row.mean_watts)} | ${row.longest_excursion_ms.toFixed(0)} ms | ${((100 * row.busy_seconds) / row.seconds).toFixed(0)} % | ${row.tokens} |`,
    )
  }
}
