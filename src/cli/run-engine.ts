import { type Command, Option } from 'commander'
import { type Engine, startEngine } from '../engine/client.ts'
import { type ProviderSetting, providerSettings } from '../engine/ort/providers.ts'
import { bundledModelDir } from '../models/bundled.ts'
import { openPackage } from '../models/package.ts'
import { wholeNumber } from './output.ts'

/** The flags of every command that runs a model of its own. */
export interface EngineFlags {
  readonly model?: string
  readonly threads: number
  readonly provider: ProviderSetting
}

export const addModelFlag = (command: Command): Command =>
  command.option('--model <dir>', 'model package (default: the bundled one)')

export const addEngineFlags = (command: Command): Command =>
  command
    .option('--threads <n>', 'threads', wholeNumber('--threads', 1), 2)
    .addOption(new Option('--provider <name>', 'who runs the graph').choices([...providerSettings]).default('auto'))

/** Starts an engine for one command, runs `use` and stops the engine whatever happens. */
export async function withEngine<T>(
  { model, threads, provider }: EngineFlags,
  use: (engine: Engine, modelDir: string) => Promise<T>,
): Promise<T> {
  const { dir, manifest } = openPackage(model ?? bundledModelDir)
  const engine = startEngine({
    modelDir: dir,
    manifest,
    threads,
    provider,
    maxSequences: 1,
    maxQueued: 1,
    restart: false,
  })
  try {
    await engine.ready()
    return await use(engine, dir)
  } finally {
    await engine.close()
  }
}
