import { readFileSync } from 'node:fs'
import { startDeapd } from '../deapd.mjs'
import { startLlama } from '../llama-side.mjs'

const contextTokens = 4096

/** Anonymous memory of a process in bytes: what neither the page cache nor another process can share or drop. */
const anonymousBytes = (pid) =>
  Number(/^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) * 1024

/** Each side alone with a full cache of 4,096 tokens, after a prompt that makes it allocate its work space. */
export async function memory({ dir, gguf, threads }) {
  const deapd = await startDeapd(dir, threads)
  const { kvBytes } = deapd.loaded
  const weightBytes = deapd.manifest.files['model.onnx.data'].bytes
  await deapd.prefill({ tokens: 128, chunkTokens: 64 })
  const ours = (
    await deapd.bench({ contextTokens: contextTokens - 8, tokens: 8, levels: [deapd.manifest.levels.length - 1] })
  ).memory
  await deapd.close()

  const llama = await startLlama(gguf, threads, contextTokens, [true])
  await llama.decode({ contextTokens: 128, tokens: 2, flashAttention: true })
  const theirs = anonymousBytes(llama.pid)
  await llama.close()
  return {
    values: {
      private_llama: ours.privateBytes / theirs,
      private_need: ours.privateBytes / (weightBytes + kvBytes),
    },
    details: {
      deapd_private_mb: ours.privateBytes / 1e6,
      deapd_peak_resident_mb: ours.peakBytes / 1e6,
      llama_private_mb: theirs / 1e6,
      weights_mb: weightBytes / 1e6,
      kv_mb: kvBytes / 1e6,
    },
  }
}
