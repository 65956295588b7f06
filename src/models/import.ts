import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DeapdError } from '../errors.ts'
import { describePackage } from './describe.ts'
import { cutLevels, orderByNorm } from './levels.ts'
import { type Manifest, manifestFile } from './manifest.ts'
import { emitLlama, type LayerWeights } from './onnx/llama.ts'
import { encodeModel } from './onnx/proto.ts'
import { createWeightFile, type Quantisation } from './onnx/weights.ts'
import { type LlamaShape, parseConfig } from './source/config.ts'
import { openSafetensors, readJson, type TensorSource } from './source/safetensors.ts'
import { chatTemplate } from './source/template.ts'

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
export function importModel(options: ImportOptions): Manifest {
  const source = resolve(options.source)
  const out = resolve(options.out)
  if (existsSync(out)) throw new DeapdError('output_exists', { path: out })
  const config = readJson(source, 'config.json')
  if (!config) throw new DeapdError('import_unsupported', { path: source, detail: 'it has no config.json' })
  const shape = parseConfig(join(source, 'config.json'), config)
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) readJson(source, file)
  if (!existsSync(join(source, 'tokenizer.json'))) {
    throw new DeapdError('import_unsupported', { path: source, detail: 'it has no tokenizer.json' })
  }
  const partial = join(dirname(out), `.${basename(out)}.${randomBytes(4).toString('hex')}.part`)
  mkdirSync(partial, { recursive: true })
  const tensors = openSafetensors(source)
  try {
    const manifest = build(source, partial, shape, tensors, options)
    renameSync(partial, out)
    return manifest
  } finally {
    tensors.close()
    rmSync(partial, { recursive: true, force: true })
  }
}

function build(
  source: string,
  folder: string,
  shape: LlamaShape,
  tensors: TensorSource,
  options: ImportOptions,
): Manifest {
  const cut = cutLevels(shape.ffnSize, options.levels)
  const block = options.quantisation === 'none' ? 0 : Math.min(options.block, cut.chunkChannels)
  const form = { quantisation: options.quantisation, block }
  const weights = createWeightFile(join(folder, 'model.onnx.data'), 'model.onnx.data')
  const matrix = checkedReader(source, tensors)
  const { hiddenSize, vocabSize } = shape
  const embedding = matrix('model.embed_tokens.weight', [vocabSize, hiddenSize])
  const head = shape.tied ? embedding : matrix('lm_head.weight', [vocabSize, hiddenSize])
  const graph = emitLlama(
    { shape, form, widths: cut.widths, contextTokens: shape.contextTokens },
    weights,
    embedding,
    readLayers(shape, matrix, options),
    matrix('model.norm.weight', [hiddenSize]),
    head,
  )
  weights.close()
  writeFileSync(join(folder, 'model.onnx'), encodeModel(graph))
  writeFileSync(join(folder, 'tokenizer.json'), readFileSync(join(source, 'tokenizer.json')))
  writeFileSync(join(folder, 'chat_template.jinja'), chatTemplate(source))
  const extras = { source: basename(source), name: basename(source), ...readJson(source, 'deapd.json') }
  const manifest = describePackage(folder, extras, shape, cut, form, weights)
  writeFileSync(join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

type ReadMatrix = (name: string, shape: readonly number[]) => Float32Array

function checkedReader(source: string, tensors: TensorSource): ReadMatrix {
  return (name, shape) => {
    const found = tensors.shape(name)
    if (found.join() !== shape.join()) {
      throw new DeapdError('import_damaged', {
        path: source,
        detail: `${name} is [${found}], config.json says [${shape}]`,
      })
    }
    return tensors.read(name)
  }
}

/** The layers one at a time: a whole 7B would not fit in memory as float32. */
function* readLayers(shape: LlamaShape, matrix: ReadMatrix, { onProgress }: ImportOptions): Generator<LayerWeights> {
  const { hiddenSize, ffnSize, heads, kvHeads, headSize, layers } = shape
  for (let i = 0; i < layers; i++) {
    const at = (part: string): string => `model.layers.${i}.${part}.weight`
    const gate = matrix(at('mlp.gate_proj'), [ffnSize, hiddenSize])
    const up = matrix(at('mlp.up_proj'), [ffnSize, hiddenSize])
    const down = matrix(at('mlp.down_proj'), [hiddenSize, ffnSize])
    yield {
      inputNorm: matrix(at('input_layernorm'), [hiddenSize]),
      q: matrix(at('self_attn.q_proj'), [heads * headSize, hiddenSize]),
      k: matrix(at('self_attn.k_proj'), [kvHeads * headSize, hiddenSize]),
      v: matrix(at('self_attn.v_proj'), [kvHeads * headSize, hiddenSize]),
      o: matrix(at('self_attn.o_proj'), [hiddenSize, heads * headSize]),
      mlpNorm: matrix(at('post_attention_layernorm'), [hiddenSize]),
      gate,
      up,
      down,
      order: orderByNorm(gate, up, down, ffnSize),
    }
    onProgress?.(i + 1, layers, 'layers')
  }
}
