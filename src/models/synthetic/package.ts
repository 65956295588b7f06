import { createHash, randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describePackage } from '../describe.ts'
import { type Drawing, drawPackage, scalesFile } from '../draw.ts'
import { chunkChannelsFor, cutLevels, layerLevels } from '../levels.ts'
import { Manifest, manifestFile } from '../manifest.ts'
import { tensorMatrix } from '../onnx/matrix.ts'
import { cacheHeadSize } from '../onnx/padding.ts'
import { openPackage } from '../package.ts'
import { dataFile, writeError } from '../pipeline/workspace.ts'
import type { LayerMatrices } from '../source/checkpoint.ts'
import type { LlamaShape } from '../source/config.ts'
import { writeNoise } from './noise.ts'
import { type SyntheticName, syntheticShape } from './shapes.ts'
import { syntheticTokenizer } from './tokenizer.ts'

export interface SyntheticOptions {
  readonly name: SyntheticName
  /** Fewer layers than the shape has, for quick runs. */
  readonly layers?: number
  readonly block: number
  readonly levels: number
  readonly seed: number
  /** Where packages are kept; made when it is not there. */
  readonly folder: string
  readonly onProgress?: (done: number, total: number, what: string) => void
}

/** Packages can be gigabytes: they go where caches go. */
export const syntheticFolder = (env: NodeJS.ProcessEnv): string =>
  join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deapd', 'synthetic')

/**
 * The folder of a package with this shape and seeded noise for weights: its graph is the product's, its answers mean nothing.
 * An earlier one is used again as long as its graph would still come out the same; otherwise a new one takes its place.
 */
export function syntheticPackage(options: SyntheticOptions): { dir: string; made: boolean; bytes: number } {
  const { name, block, levels, seed, folder } = options
  const shape = syntheticShape(name, options.layers)
  const drawing = draw(shape, options)
  const stem = `${name}-${shape.layers}x-b${block}-l${levels}-s${seed}`
  const dir = join(folder, `${stem}-${digest(drawing)}`)
  const made = !existsSync(join(dir, manifestFile))
  if (made) {
    mkdirSync(folder, { recursive: true })
    for (const old of readdirSync(folder)) {
      if (old.startsWith(`${stem}-`)) rmSync(join(folder, old), { recursive: true, force: true })
    }
    const partial = `${dir}.${randomBytes(4).toString('hex')}.part`
    mkdirSync(partial)
    try {
      fill(partial, shape, drawing, options)
      renameSync(partial, dir)
    } catch (error) {
      throw writeError(error, dir)
    } finally {
      rmSync(partial, { recursive: true, force: true })
    }
  }
  return { dir, made, bytes: openPackage(dir).bytes }
}

/** The graph and the plan of its weights, drawn by the emitter that also serves imports; no weight exists yet. */
function draw(shape: LlamaShape, { block, levels }: SyntheticOptions): Drawing {
  const { hiddenSize, ffnSize, heads, kvHeads, headSize, vocabSize, layers } = shape
  const form = { quantisation: 'int4', block: Math.min(block, chunkChannelsFor(ffnSize)) } as const
  const cut = cutLevels(shape, form, levels)
  const inOrder = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => i)
  const norm = tensorMatrix('norm', 1, hiddenSize)
  const query = tensorMatrix('q', heads * headSize, hiddenSize)
  const keyValue = tensorMatrix('kv', kvHeads * headSize, hiddenSize)
  const toMlp = tensorMatrix('mlp', ffnSize, hiddenSize)
  const layer: LayerMatrices = {
    inputNorm: norm,
    q: query,
    k: keyValue,
    v: keyValue,
    o: tensorMatrix('o', hiddenSize, heads * headSize),
    mlpNorm: norm,
    gate: toMlp,
    up: toMlp,
    down: tensorMatrix('down', hiddenSize, ffnSize),
  }
  const head = tensorMatrix('head', vocabSize, hiddenSize)
  const all = <T>(one: T): T[] => Array.from({ length: layers }, () => one)
  const levelled = cut.layers.map((_, i) => layerLevels(cut, i, inOrder(ffnSize), inOrder(kvHeads)))
  return drawPackage(shape, form, levelled, { embedding: head, layers: all(layer), finalNorm: norm, head })
}

/** Of everything that decides whether a package from before can still be used. */
function digest({ files, weights }: Drawing): string {
  const hash = createHash('sha256').update(JSON.stringify(Manifest))
  for (const content of Object.values(files)) hash.update(content)
  for (const part of weights.parts) if (part.kind === 'data') hash.update(Buffer.from(part.data.buffer))
  return hash.digest('hex').slice(0, 8)
}

function fill(folder: string, shape: LlamaShape, drawing: Drawing, options: SyntheticOptions): void {
  const { name, seed, onProgress } = options
  const { weights } = drawing
  const fd = openSync(join(folder, dataFile), 'w')
  try {
    for (const [i, part] of weights.parts.entries()) {
      writeNoise(part, fd, seed)
      onProgress?.(i + 1, weights.parts.length, 'tensors')
    }
  } finally {
    closeSync(fd)
  }
  const files = {
    ...drawing.files,
    'tokenizer.json': JSON.stringify(syntheticTokenizer(shape.vocabSize)),
    'chat_template.jinja': `{% for m in messages %}{{ m['content'] }}\n{% endfor %}`,
  }
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content)
  const extras = {
    name: `${name} (noise)`,
    description: `The shape of ${name} with ${shape.layers} layers and seeded noise for weights: for timing only.`,
    source: `deapd bench --synthetic ${name}, seed ${seed}`,
    licence: 'none needed: made up',
  }
  // Keys and values of the noise have a deviation near one: so many steps of an int8 hold six of them.
  const channels = 2 * shape.layers * shape.kvHeads * cacheHeadSize(shape.headSize)
  writeFileSync(join(folder, scalesFile), new Uint8Array(new Float32Array(channels).fill(6 / 127).buffer))
  const manifest = describePackage(folder, [dataFile, scalesFile, ...Object.keys(files)], extras, shape, drawing)
  const keys = { ...manifest, kv_scales: scalesFile }
  writeFileSync(join(folder, manifestFile), `${JSON.stringify(keys, null, 2)}\n`)
}
