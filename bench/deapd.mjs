/** deapd's side of the comparison: the product's own engine process, asked for single times. */

import { startEngine } from '../dist/engine/client.js'
import { openPackage } from '../dist/models/package.js'
import { calmly, fewTries } from './calm.mjs'

/** `env` goes to the engine's process beside this one's. */
export async function startDeapd(modelDir, threads, env = {}) {
  const { manifest } = openPackage(modelDir)
  Object.assign(process.env, env)
  const engine = startEngine({ modelDir, manifest, threads, maxSequences: 1, maxQueued: 1, restart: false })
  for (const key of Object.keys(env)) delete process.env[key]
  try {
    await engine.ready()
  } catch (error) {
    await engine.close()
    throw error
  }
  const { loaded, pid } = engine.status()
  const bench = (options) =>
    engine.bench({
      promptTokens: 1,
      chunkTokens: 1,
      prefillRounds: 0,
      contextTokens: 0,
      tokens: 0,
      levels: null,
      verify: [],
      ...options,
    })
  return {
    engine,
    manifest,
    pid,
    loaded,
    bench,
    /** Milliseconds of each of `tokens` steps at `level` after `contextTokens` filled cache slots. */
    decode: async ({ contextTokens, tokens, level }) =>
      (await calmly([pid], () => bench({ contextTokens, tokens, levels: [level] }))).decode[0].ms,
    /** Milliseconds to read a prompt of `tokens` tokens. */
    prefill: async ({ tokens, chunkTokens }) =>
      (await calmly([pid], () => bench({ promptTokens: tokens, chunkTokens, prefillRounds: 1, levels: [] }), fewTries))
        .prefill.ms[0],
    close: () => engine.close(),
  }
}
