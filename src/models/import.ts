import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DeapdError } from '../errors.ts'
import { describePackage } from './describe.ts'
import { writePart } from './fill.ts'
import { cutLevels, orderByNorm } from './levels.ts'
import { type Manifest, manifestFile } from './manifest.ts'
import { emitLlama } from './onnx/llama.ts'
import { type ReadRows, squares } from './onnx/matrix.ts'
import { encodeModel } from './onnx/proto.ts'
import { planWeights, type Quantisation } from './onnx/weights.ts'
import type { Checkpoint, LayerMatrices } from './source/checkpoint.ts'
import { openHuggingFace } from './source/huggingface.ts'
import { openTensors } from './source/tensors.ts'

export interface ImportOptions {
  readonly source: string
  readonly out: string
  readonly quantisation: Quantisation
  /** Weights that share a scale. Narrow layers use less, so that no block spans two chunks. */
  readonly block: number
  readonly levels: number
  readonly onProgress?: (done: number, total: number, what: string) => void
}

/**
 * Turns a Hugging Face LLaMA folder into a model package. The package is built beside `out` and renamed into place, so a
 * half-written one is never picked up. Throws `import_unsupported`, `import_damaged` or `output_exists`.
 */
export async function importModel(options: ImportOptions): Promise<Manifest> {
  const out = resolve(options.out)
  if (existsSync(out)) throw new DeapdError('output_exists', { path: out })
  const checkpoint = openHuggingFace(resolve(options.source))
  const partial = join(dirname(out), `.${basename(out)}.${randomBytes(4).toString('hex')}.part`)
  mkdirSync(partial, { recursive: true })
  const tensors = openTensors(checkpoint.tensors)
  try {
    const manifest = build(checkpoint, partial, tensors.read, options)
    renameSync(partial, out)
    return manifest
  } finally {
    tensors.close()
    rmSync(partial, { recursive: true, force: true })
  }
}

function build(checkpoint: Checkpoint, folder: string, read: ReadRows, options: ImportOptions): Manifest {
  const { shape, embedding, finalNorm, head } = checkpoint
  const cut = cutLevels(shape.ffnSize, options.levels)
  const block = options.quantisation === 'none' ? 0 : Math.min(options.block, cut.chunkChannels)
  const form = { quantisation: options.quantisation, block }
  const weights = planWeights('model.onnx.data')
  const layers = checkpoint.layers.map((layer) => ({ ...layer, order: channelOrder(layer, read) }))
  const plan = { shape, form, widths: cut.widths, contextTokens: shape.contextTokens }
  const graph = emitLlama(plan, weights, embedding, layers, finalNorm, head)
  const fd = openSync(join(folder, 'model.onnx.data'), 'w')
  try {
    for (const [i, part] of weights.parts.entries()) {
      writePart(part, fd, read)
      options.onProgress?.(i + 1, weights.parts.length, 'tensors')
    }
  } finally {
    closeSync(fd)
  }
  writeFileSync(join(folder, 'model.onnx'), encodeModel(graph))
  writeFileSync(join(folder, 'tokenizer.json'), checkpoint.tokenizer)
  writeFileSync(join(folder, 'chat_template.jinja'), checkpoint.template)
  const manifest = describePackage(folder, checkpoint.extras, shape, cut, form, weights)
  writeFileSync(join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

const channelOrder = ({ gate, up, down }: LayerMatrices, read: ReadRows): Int32Array =>
  orderByNorm(squares(gate, read).rows, squares(up, read).rows, squares(down, read).columns)
