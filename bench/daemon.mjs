/** The built daemon as its users have it, on a free port, and a client that notes when each token arrives. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { family } from './calm.mjs'

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const tap = new URL('step-tap.mjs', import.meta.url).href

/** SCHED_RR of sched.h. */
const roundRobin = 2

/** The clock of the engine's step messages. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6

export async function startDaemon(modelDir, threads) {
  const state = mkdtempSync(join(tmpdir(), 'deapd-bench-'))
  const flags = ['--model', modelDir, '--as-if', 'none', '--twin', 'agx-orin-64gb', '--budget', '60']
  const ports = ['--listen', '127.0.0.1:0', '--mqtt', 'none', '--state', state, '--threads', String(threads)]
  const child = spawn(process.execPath, ['--import', tap, main, 'serve', ...flags, ...ports], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, DEAPD_STEP_TAP: String(process.pid) },
  })
  const url = await address(child)
  const agent = new Agent({ keepAlive: true })
  await ready(url, agent)
  return {
    url,
    /** The daemon and its engine. */
    pids: () => family(child.pid),
    /** Whether the governor's thread was allowed to come before ordinary ones. */
    comesFirst: () => schedulingPolicy(child.pid) === roundRobin,
    /** Streams `tokens` tokens after `prompt` (ids); milliseconds on the clock of the steps. `onArrival` is called after each. */
    complete: (prompt, tokens, onArrival) => complete(url, agent, prompt, tokens, onArrival),
    /** Steps announced since the last call. */
    async steps() {
      child.send('steps')
      const [{ steps }] = await once(child, 'message')
      return steps
    },
    async close() {
      agent.destroy()
      if (child.exitCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      rmSync(state, { recursive: true, force: true })
    },
  }
}

/** The policy of a process's first thread: field 41 of its stat, the 39th behind the name. */
function schedulingPolicy(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[38])
}

/** The first address the daemon prints. */
async function address(child) {
  let seen = ''
  const found = new Promise((resolve, reject) => {
    const look = (chunk) => {
      seen += chunk
      const [url] = seen.match(/http:\/\/127\.0\.0\.1:\d+/) ?? []
      if (url) resolve(url)
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.once('exit', () => reject(new Error(`the daemon did not start:\n${seen}`)))
  })
  return await found
}

async function ready(url, agent) {
  for (;;) {
    const status = await new Promise((resolve) => {
      const get = request(`${url}/readyz`, { agent }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      get.on('error', () => resolve(0))
      get.end()
    })
    if (status === 200) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function complete(url, agent, prompt, tokens, onArrival = () => {}) {
  const body = JSON.stringify({
    prompt,
    max_tokens: tokens,
    stream: true,
    // Noise repeats itself when it is greedy, and drafts would then make several tokens a step.
    temperature: 1,
    seed: prompt[0],
    energy: 'exact',
    logit_bias: { 2: -100 },
  })
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const sentMs = nowMs()
    const post = request(`${url}/v1/completions`, { method: 'POST', agent, headers }, (response) => {
      const arrivals = []
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        const at = nowMs()
        text += chunk
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const event = text.slice(0, end)
          text = text.slice(end + 2)
          if (!event.startsWith('data: {') || !JSON.parse(event.slice(6)).choices?.[0]?.text) continue
          arrivals.push(at)
          onArrival()
        }
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve({ sentMs, arrivals })
        else reject(new Error(`HTTP ${response.statusCode}: ${text}`))
      })
    })
    post.on('error', reject)
    post.end(body)
  })
}
