/** llama.cpp's process from outside, with the same words as deapd.mjs. */
import { calmly, fewTries } from './calm.mjs'
import { startProcess } from './process.mjs'

/** Loads the file and makes contexts of `contextTokens` with and without flash attention, as listed. */
export async function startLlama(path, threads, contextTokens, flashAttention = [true, false]) {
  const child = startProcess('./llama.mjs')
  try {
    const loaded = await child.ask('load', { path, threads })
    for (const on of flashAttention) await child.ask('context', { contextTokens, threads, flashAttention: on })
    return {
      pid: child.pid,
      loaded,
      decode: (options) => calmly([child.pid], () => child.ask('decode', options)),
      prefill: (options) => calmly([child.pid], () => child.ask('prefill', options), fewTries),
      nll: (options) => child.ask('nll', options),
      close: () => child.close(),
    }
  } catch (error) {
    await child.close()
    throw error
  }
}
