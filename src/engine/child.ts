/**
 * The engine process: loads one model and answers messages until its parent goes away. It is a process of its own because a
 * run blocks its thread, a native fault takes the process with it, and only its end surely gives unified memory back.
 */
import { writeFileSync } from 'node:fs'
import { checkCertificate } from '../models/certificate.ts'
import { openPackage } from '../models/package.ts'
import { benchModel } from './bench.ts'
import type { Routes } from './complexity/routes.ts'
import { failure } from './failure.ts'
import type { Loaded } from './generation.ts'
import { readHeadroom, requireRoom, roomBytes } from './headroom.ts'
import { kvBytesPerToken } from './kv-cache.ts'
import { openModel } from './model.ts'
import { tidy } from './ort/allocator.ts'
import { loadOrt } from './ort/api.ts'
import { yieldCores } from './politeness.ts'
import type { FromEngine, ToEngine } from './protocol.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'
import { scoreText } from './score.ts'
import { openTemplate } from './template.ts'
import { openTokenizer } from './tokenizer.ts'

/** Part of the memory that is free after loading that full caches of all answers together may take. */
const cachePart = 0.7

/** Politeness of the engine process; 0 is ordinary. */
const niceness = 5

/**
 * The governor comes first. When cores are scarce it should get one at every tick, and when memory runs out the kernel should
 * take the model, which comes back, and not the process that holds the clocks.
 */
function yieldToGovernor(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '600')
  } catch {
    // Not Linux, or a hardened sandbox: the kernel decides by size then, which also names this process.
  }
  try {
    yieldCores(niceness)
  } catch {
    // Another C library than glibc: tokens then wait for the scheduler's tick where cores are few.
  }
}

let loaded: (Loaded & { readonly routes: Routes }) | undefined
/** What the package says of itself. */
let certified = false
let scheduler: Scheduler | undefined

const outbox: FromEngine[] = []

/** What is said in one go leaves as one message: a step and its tokens cost the daemon one wake-up. */
const send = (message: FromEngine): void => {
  if (outbox.push(message) === 1) queueMicrotask(flush)
}

function flush(whenSent?: () => void): void {
  const messages = outbox.splice(0)
  // A parent that just died is told nothing; its `disconnect` ends this process.
  if (process.connected) process.send?.(messages, () => whenSent?.())
}

function load({
  modelDir,
  threads,
  provider,
  maxSequences,
  maxQueued,
  drafts,
  revoked,
}: Extract<ToEngine, { type: 'load' }>): void {
  const from = performance.now()
  const { manifest } = openPackage(modelDir)
  const ort = loadOrt()
  const weightBytes = manifest.files['model.onnx.data']?.bytes ?? 0
  requireRoom('the weights and one answer', weightBytes + kvBytesPerToken(manifest) * manifest.shape.context_tokens)
  const model = openModel(ort, modelDir, manifest, threads, { provider, slots: maxSequences + 1 })
  const tokenizer = openTokenizer(modelDir)
  const certificate = checkCertificate(modelDir, manifest)
  certified = certificate.state === 'valid'
  const routes: Routes = { certified: certified && !revoked }
  loaded = { model, tokenizer, encodeChat: openTemplate(modelDir, manifest, tokenizer), routes }
  // A slot for each answer and one for scoring; pages nobody has written cost nothing. A long context gets fewer answers at a time: each may come to fill its cache.
  const room = roomBytes(readHeadroom()) ?? Number.POSITIVE_INFINITY
  const sequences = Math.max(1, Math.min(maxSequences, Math.floor((room * cachePart) / model.kvBytes)))
  scheduler = createScheduler(loaded, { maxSequences: sequences, maxQueued, drafts, requireRoom, send })
  // What loading left is not collected later: this process has no memory reducer (client.ts).
  tidy()
  send({
    type: 'loaded',
    manifest,
    loadSeconds: (performance.now() - from) / 1000,
    provider: model.provider,
    runtime: `onnxruntime ${ort.version}`,
    kvBytes: model.kvBytes,
    weightBytes,
    certificate: { state: certificate.state, reason: certificate.reason },
  })
}

function handle(message: ToEngine): void {
  switch (message.type) {
    case 'load':
      return load(message)
    case 'generate':
      return scheduler?.submit(message.request)
    case 'cancel':
      return scheduler?.cancel(message.id)
    case 'order':
      return scheduler?.setOrder(message)
    case 'pace':
      return scheduler?.setPace(message.pace)
    case 'revoked':
      if (loaded) loaded.routes.certified = certified && !message.revoked
      return
    case 'score': {
      if (!loaded) return
      const level = message.level ?? loaded.model.levels - 1
      return send({ type: 'scored', id: message.id, ...scoreText(loaded, message.text, level) })
    }
    case 'bench':
      if (loaded) send({ type: 'benched', id: message.id, result: benchModel(loaded, message) })
      return
    case 'shutdown':
      return process.exit(0)
    default:
      message satisfies never
  }
}

yieldToGovernor()
process.on('message', (message: ToEngine) => {
  try {
    handle(message)
  } catch (error) {
    const reply = failure('id' in message ? message.id : null, error)
    // Without a model there is nothing to stay alive for; the parent reads the reason from the message.
    send(reply)
    if (message.type === 'load') flush(() => process.exit(1))
  }
})
// The parent is gone: nobody wants the answers any more.
process.on('disconnect', () => process.exit(0))
// Ctrl-C reaches the whole group; the parent decides when the engine ends.
process.on('SIGINT', () => undefined)
