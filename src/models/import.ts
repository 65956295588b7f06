import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { DeapdError } from '../errors.ts'
import { describePackage } from './describe.ts'
import { drawPackage } from './draw.ts'
import { cutLevels, type LayerLevels, layerLevels, orderByNorm, orderGroups } from './levels.ts'
import { type Manifest, manifestFile } from './manifest.ts'
import type { Activations } from './onnx/activations.ts'
import type { Shifts } from './onnx/shifts.ts'
import type { Form, Quantisation, Rounding } from './onnx/weights.ts'
import { importKey } from './pipeline/identity.ts'
import { openPool, type Pool } from './pipeline/pool.ts'
import { type OnProgress, tally } from './pipeline/progress.ts'
import { dataFile, openWorkspace, type Workspace, writeError } from './pipeline/workspace.ts'
import { writeWeights } from './pipeline/write.ts'
import type { Checkpoint } from './source/checkpoint.ts'
import { openCheckpoint } from './source/open.ts'

export interface ImportOptions {
  readonly source: string
  readonly out: string
  readonly quantisation: Quantisation
  /** Weights that share a scale; default 128, 32 for narrow models, whose rows a block of 128 would hardly divide. */
  readonly block?: number
  /** Default: what the model's maker says, else searched. */
  readonly rounding?: Rounding
  readonly levels: number
  /** Activations, scales and cache: float16 for GPUs (CUDA's attention has no float32), float32, the default, for the CPU. */
  readonly activations?: Activations
  /** Worker threads; 0 works on this one. Default: as many as the machine runs at once, none for a small model. */
  readonly threads?: number
  readonly onProgress?: OnProgress
}

/** Below this many weights, threads cost more than they save. */
const smallModel = 20e6

/**
 * Turns a Hugging Face folder or a GGUF file into a model package, tensor by tensor. After a kill, the same call goes on where
 * it stopped. Throws what `makePackage` throws.
 */
export function importModel(options: ImportOptions): Promise<Manifest> {
  return makePackage(options, (checkpoint, workspace) =>
    withPool(checkpoint, workspace, options.threads, async (pool) => {
      const form = formOf(checkpoint, options)
      const levels = await orderLayers(checkpoint, form, pool, options)
      const { activations, onProgress } = options
      return writePackage(checkpoint, workspace, pool, { form, levels, activations }, onProgress)
    }),
  )
}

/**
 * Makes a package of a checkpoint. It grows in a hidden folder beside `out` and is renamed into place when `make` is done, so that a
 * half-written one is never picked up. Throws `import_unsupported`, `import_damaged`, `import_busy`, `output_exists`,
 * `output_unwritable` or `disk_full`.
 */
export async function makePackage<T>(
  options: Pick<ImportOptions, 'source' | 'out'>,
  make: (checkpoint: Checkpoint, workspace: Workspace) => Promise<T>,
): Promise<T> {
  const out = resolve(options.out)
  if (existsSync(out)) throw new DeapdError('output_exists', { path: out })
  const checkpoint = openCheckpoint(resolve(options.source))
  const workspace = openWorkspace(out)
  try {
    const made = await make(checkpoint, workspace)
    workspace.publish()
    return made
  } catch (error) {
    // A source that cannot be used leaves nothing to go on with; after anything else, what is finished is kept.
    if (error instanceof DeapdError && error.code.startsWith('import_')) workspace.discard()
    throw writeError(error, out)
  } finally {
    workspace.release()
  }
}

/** Opens threads that write the workspace's weight file. */
export async function withPool<T>(
  checkpoint: Checkpoint,
  { folder }: Workspace,
  threads: number | undefined,
  use: (pool: Pool) => Promise<T>,
): Promise<T> {
  const weightFile = join(folder, dataFile)
  closeSync(openSync(weightFile, 'a'))
  const pool = openPool({ tensors: checkpoint.tensors, weightFile }, threads ?? defaultThreads(checkpoint))
  try {
    return await use(pool)
  } finally {
    await pool.close()
  }
}

function defaultThreads({ tensors }: Checkpoint): number {
  const weights = Object.values(tensors).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  return weights < smallModel ? 0 : availableParallelism()
}

/** How weights are kept unless the caller says otherwise. */
export function formOf(
  { shape, extras }: Checkpoint,
  { quantisation, block, rounding }: Pick<ImportOptions, 'quantisation' | 'block' | 'rounding'>,
): Form {
  if (quantisation === 'none') return { quantisation, block: 0 }
  return { quantisation, block: block ?? (shape.hiddenSize < 1024 ? 32 : 128), rounding: rounding ?? extras.rounding }
}

/** What of a package is decided beside its weights. */
export interface PackagePlan {
  readonly form: Form
  readonly levels: readonly LayerLevels[]
  readonly activations?: Activations
  /** What stands for what levels leave out. */
  readonly shifts?: Shifts
}

/** Writes all files of a package into the workspace. */
export async function writePackage(
  checkpoint: Checkpoint,
  workspace: Workspace,
  pool: Pool,
  { form, levels, activations, shifts }: PackagePlan,
  onProgress: OnProgress,
): Promise<Manifest> {
  const { shape } = checkpoint
  const drawing = drawPackage(shape, form, levels, checkpoint, activations, shifts)
  const key = importKey(checkpoint.tensors, drawing.weights.parts, drawing.files)
  await writeWeights(drawing.weights, workspace, key, pool, onProgress)
  const { folder } = workspace
  const files = {
    ...drawing.files,
    'tokenizer.json': checkpoint.tokenizer,
    'chat_template.jinja': checkpoint.template,
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { flush: true })
  const manifest = describePackage(folder, [dataFile, ...Object.keys(files)], checkpoint.extras, shape, drawing)
  writeManifest(folder, manifest)
  return manifest
}

export function writeManifest(folder: string, manifest: Manifest): void {
  writeFileSync(join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true })
}

/** Measures every layer's channels and heads, for the order in which levels take them. */
async function orderLayers(
  { shape, layers }: Checkpoint,
  form: Form,
  pool: Pool,
  { levels, onProgress }: ImportOptions,
): Promise<LayerLevels[]> {
  const jobs = layers.flatMap(({ gate, up, down, q, o }) =>
    [gate, up, down, q, o].map((matrix) => ({ kind: 'squares' as const, matrix })),
  )
  const count = tally(
    'measure',
    jobs.map(({ matrix }) => matrix.rows * matrix.columns),
    onProgress,
  )
  const sums = await pool.run<'squares'>(jobs, count)
  const cut = cutLevels(shape, form, levels)
  return layers.map((_, i) => {
    const [gate, up, down, q, o] = sums.slice(5 * i, 5 * i + 5)
    const channels = orderByNorm(gate.rows, up.rows, down.columns)
    return layerLevels(cut, i, channels, orderGroups(q.rows, o.columns, shape.kvHeads))
  })
}
