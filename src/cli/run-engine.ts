import { type Engine, startEngine } from '../engine/client.ts'
import type { Sampling } from '../engine/protocol.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { openPackage } from '../models/package.ts'

/** Starts an engine for one command, runs `use` and stops the engine whatever happens. */
export async function withEngine<T>(
  modelDir: string | undefined,
  threads: number,
  use: (engine: Engine, modelDir: string) => Promise<T>,
): Promise<T> {
  const { dir, manifest } = openPackage(modelDir ?? bundledModelDir)
  const engine = startEngine({ modelDir: dir, manifest, threads, maxSequences: 1, maxQueued: 1, restart: false })
  try {
    await engine.ready()
    return await use(engine, dir)
  } finally {
    await engine.close()
  }
}

/** Plain greedy decoding, which the commands start from. */
export const greedy: Sampling = {
  maxTokens: null,
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  seed: null,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  repeatPenalty: 1,
  topLogprobs: null,
}
