import { spread } from '../../dist/evaluate/statistics/quantiles.js'
import { startDeapd } from '../deapd.mjs'
import { startLlama } from '../llama-side.mjs'

/** Seconds from an engine process that has started to a model that is ready; files are in the page cache on both sides. */
export async function start({ dir, gguf, threads, log }) {
  const seconds = []
  for (let i = 0; i < 4; i++) {
    const deapd = await startDeapd(dir, threads)
    seconds.push(deapd.loaded.loadSeconds)
    await deapd.close()
    log(`start ${i + 1} of 4: ${seconds[i].toFixed(2)} s`)
  }
  const llama = await startLlama(gguf, threads, 0, [])
  await llama.close()
  return {
    // The first start may have had the device's own copy of the weights to make.
    values: { warm_start: spread(seconds.slice(1)), cold_start: seconds[0] },
    details: { llama_seconds: llama.loaded.loadSeconds },
  }
}
