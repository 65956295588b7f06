/**
 * Imports a synthetic sharded BF16 checkpoint with LLaMA-2-7B's layers, embeddings and lm_head, and prints time and peak
 * resident memory, from which the whole model follows. Run as
 * `npm run build && node scripts/import-7b.mjs [LAYERS] [FOLDER]`; needs about 0.4 GB a layer and 1 GB more, and removes it.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ffn, hidden, vocab, writeBigModel } from './big-model.mjs'

const [layers = '2', parent = tmpdir()] = process.argv.slice(2)
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

const folder = mkdtempSync(join(parent, 'deapd-7b-'))
try {
  const source = join(folder, 'llama-2-7b-shape')
  writeBigModel(source, Number(layers))
  const startedAtMs = performance.now()
  const child = spawn(
    process.execPath,
    [main, 'models', 'import', source, '--out', join(folder, 'out'), '--levels', '6'],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  let peakKb = 0
  const watch = setInterval(() => {
    try {
      peakKb = Math.max(peakKb, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]))
    } catch {
      // It has ended.
    }
  }, 50)
  const code = await new Promise((resolve) => child.on('exit', resolve))
  clearInterval(watch)
  if (code !== 0) throw new Error(`the import ended with ${code}`)
  const seconds = (performance.now() - startedAtMs) / 1000
  const layerWeights = 4 * hidden * hidden + 3 * hidden * ffn
  const weights = Number(layers) * layerWeights + 2 * vocab * hidden
  const whole = (32 * layerWeights + 2 * vocab * hidden) / weights
  console.log(
    `${layers} layers, embeddings and lm_head: ${(weights / 1e6).toFixed(0)} M weights in ${seconds.toFixed(1)} s`,
  )
  console.log(`package ${(statSync(join(folder, 'out', 'model.onnx.data')).size / 1e6).toFixed(0)} MB`)
  console.log(`peak resident ${(peakKb / 1024).toFixed(0)} MiB`)
  console.log(`32 layers at this rate: ${((seconds * whole) / 60).toFixed(1)} min`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
