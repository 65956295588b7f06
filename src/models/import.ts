import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { DeapdError } from '../errors.ts'
import { type Cut, cutLevels, orderByNorm } from './levels.ts'
import { type Manifest, manifestFile } from './manifest.ts'
import { emitLlama, type LayerWeights } from './onnx/llama.ts'
import { cacheHeadSize } from './onnx/padding.ts'
import { encodeModel } from './onnx/proto.ts'
import { createWeightFile, type Quantisation, type WeightFile } from './onnx/weights.ts'
import { hashFile } from './package.ts'
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

/** What the maker of a package may say beside the weights: `deapd.json` in the source folder. */
interface Extras {
  readonly name?: string
  readonly description?: string
  readonly source?: string
  readonly licence?: string
  readonly default_system_prompt?: string
  readonly sample_questions?: string[]
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
  const manifest = describe(source, folder, shape, cut, form, weights)
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

function describe(
  source: string,
  folder: string,
  shape: LlamaShape,
  { chunkChannels, widths }: Cut,
  form: { readonly quantisation: Quantisation; readonly block: number },
  weights: WeightFile,
): Manifest {
  const extras = (readJson(source, 'deapd.json') ?? {}) as Extras
  // Embeddings are looked up, not read through; everything else is read once per decoded token.
  const gatedBytes = widths.map((_, level) => layerBytes(weights, shape.layers, `mlp.${level}.`))
  const ungated =
    weights.bytes('lm_head') +
    weights.bytes('layer.') +
    weights.bytes('final_norm') -
    gatedBytes.reduce((a, b) => a + b, 0)
  const levelBytes = widths.map((_, level) => ungated + gatedBytes.slice(0, level + 1).reduce((a, b) => a + b, 0))
  const full = levelBytes[levelBytes.length - 1]
  const files = ['model.onnx', 'model.onnx.data', 'tokenizer.json', 'chat_template.jinja']
  const { hiddenSize, ffnSize, vocabSize, heads, kvHeads, headSize } = shape
  const perLayer = hiddenSize * (2 * heads * headSize + 2 * kvHeads * headSize + 3 * ffnSize + 2)
  return {
    schema: 'deapd-model/1',
    name: extras.name ?? basename(source),
    description: extras.description ?? '',
    source: extras.source ?? basename(source),
    licence: extras.licence ?? 'unknown',
    created: new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000).toISOString(),
    shape: {
      family: 'llama',
      hidden_size: hiddenSize,
      layers: shape.layers,
      heads,
      kv_heads: kvHeads,
      head_size: headSize,
      cache_head_size: cacheHeadSize(headSize),
      ffn_size: ffnSize,
      vocab_size: vocabSize,
      context_tokens: shape.contextTokens,
      parameters: perLayer * shape.layers + hiddenSize + vocabSize * hiddenSize * (shape.tied ? 1 : 2),
    },
    dtype: 'float32',
    quantisation: {
      weights: form.quantisation,
      lm_head: form.quantisation === 'none' ? 'none' : 'int8',
      block: form.block,
    },
    bos_token_id: shape.bosTokenId,
    eos_token_ids: [...shape.eosTokenIds],
    levels: levelBytes.map((bytes) => ({ share: bytes / full, weight_bytes: bytes, loss: bytes === full ? 0 : null })),
    chunks: {
      channels: chunkChannels,
      order: 'weight-norm',
      widths: Array.from({ length: shape.layers }, () => [...widths]),
    },
    energy_priors: null,
    certificate: null,
    default_system_prompt: extras.default_system_prompt ?? null,
    sample_questions: extras.sample_questions ?? [],
    files: Object.fromEntries(files.map((file) => [file, hashFile(join(folder, file))])),
  }
}

const layerBytes = (weights: WeightFile, layers: number, part: string): number =>
  Array.from({ length: layers }, (_, i) => weights.bytes(`layer.${i}.${part}`)).reduce((a, b) => a + b, 0)
