import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DeapdError } from '../../errors.ts'
import { type Matrix, pickRows } from '../onnx/matrix.ts'
import { type Checkpoint, type LayerMatrices, matrixMaker } from './checkpoint.ts'
import type { LlamaShape } from './config.ts'
import { type GgufFile, type GgufValue, readGguf } from './gguf.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import { type Rotary, rotaryFor } from './rope.ts'
import { llama2Template } from './template.ts'
import { openTensors, type TensorEntry, type TensorTable } from './tensors.ts'

/** Opens a LLaMA in GGUF form: one file, or any file of a series `…-00001-of-00003.gguf`. */
export function openGguf(path: string): Checkpoint {
  const files = series(path).map(readGguf)
  const { metadata } = files[0]
  const fields = reader(path, metadata)
  const tensors = merge(path, files, fields.optionalNumber('split.count') ?? 1)
  const shape = readShape(path, fields, tensors)
  const matrix = matrixMaker(path, tensors)
  const { hiddenSize, ffnSize, heads, kvHeads, headSize, layers, vocabSize } = shape
  const embedding = matrix('token_embd.weight', [vocabSize, hiddenSize])
  const template = metadata.get('tokenizer.chat_template')
  return {
    path,
    shape,
    tensors,
    embedding,
    layers: Array.from({ length: layers }, (_, i): LayerMatrices => {
      const at = (part: string): string => `blk.${i}.${part}.weight`
      return {
        inputNorm: matrix(at('attn_norm'), [hiddenSize]),
        q: halvesApart(matrix(at('attn_q'), [heads * headSize, hiddenSize]), headSize),
        k: halvesApart(matrix(at('attn_k'), [kvHeads * headSize, hiddenSize]), headSize),
        v: matrix(at('attn_v'), [kvHeads * headSize, hiddenSize]),
        o: matrix(at('attn_output'), [hiddenSize, heads * headSize]),
        mlpNorm: matrix(at('ffn_norm'), [hiddenSize]),
        gate: matrix(at('ffn_gate'), [ffnSize, hiddenSize]),
        up: matrix(at('ffn_up'), [ffnSize, hiddenSize]),
        down: matrix(at('ffn_down'), [hiddenSize, ffnSize]),
      }
    }),
    finalNorm: matrix('output_norm.weight', [hiddenSize]),
    head: shape.tied ? embedding : matrix('output.weight', [vocabSize, hiddenSize]),
    tokenizer: JSON.stringify(ggufTokenizer(path, metadata)),
    template: typeof template === 'string' ? template : llama2Template,
    extras: {
      name: fields.optionalText('general.name') ?? basename(path, '.gguf'),
      description: fields.optionalText('general.description'),
      source: fields.optionalText('general.source.url') ?? basename(path),
      licence: fields.optionalText('general.license'),
    },
  }
}

/** The GGUF file that `path` means: itself, or the only one (or only series) in the folder. */
export function findGguf(path: string): string | undefined {
  if (path.endsWith('.gguf')) return path
  if (!existsSync(path)) return undefined
  const names = readdirSync(path).filter((name) => name.endsWith('.gguf') && !name.startsWith('mmproj'))
  const firsts = names.filter((name) => !/-\d{5}-of-\d{5}\.gguf$/.test(name) || /-00001-of-\d{5}\.gguf$/.test(name))
  if (firsts.length > 1) {
    throw new DeapdError('import_unsupported', {
      path,
      detail: `it holds ${firsts.length} models; name one of its files`,
    })
  }
  return firsts.length === 1 ? join(path, firsts[0]) : undefined
}

function series(path: string): string[] {
  const match = /^(.*-)\d{5}-of-(\d{5})\.gguf$/.exec(basename(path))
  if (!match) return [path]
  const [, stem, count] = match
  const names = Array.from(
    { length: Number(count) },
    (_, i) => `${stem}${String(i + 1).padStart(5, '0')}-of-${count}.gguf`,
  )
  const missing = names.filter((name) => !existsSync(join(dirname(path), name)))
  if (missing.length > 0) throw new DeapdError('import_damaged', { path, detail: `${missing.join(', ')} is missing` })
  return names.map((name) => join(dirname(path), name))
}

function merge(path: string, files: readonly GgufFile[], count: number): TensorTable {
  if (count !== files.length) {
    throw new DeapdError('import_damaged', { path, detail: `it is one of ${count} files; keep their names` })
  }
  const all = files.flatMap(({ tensors }) => [...tensors])
  return Object.fromEntries<TensorEntry>(all)
}

/**
 * llama.cpp turns pairs of neighbouring channels, Hugging Face pairs half a head apart; converters reorder the rows of q and k
 * accordingly. This puts them back: channel j·half + i is the file's 2i + j.
 */
function halvesApart(matrix: Matrix, headSize: number): Matrix {
  const half = headSize / 2
  return pickRows(
    matrix,
    Int32Array.from({ length: matrix.rows }, (_, row) => {
      const channel = row % headSize
      return row - channel + 2 * (channel % half) + Math.floor(channel / half)
    }),
  )
}

type Fields = ReturnType<typeof reader>

/** Metadata by name, with a sentence where something is missing or of the wrong kind. */
function reader(path: string, metadata: ReadonlyMap<string, GgufValue>) {
  const damaged = (detail: string): DeapdError => new DeapdError('import_damaged', { path, detail })
  const optionalNumber = (key: string): number | undefined => {
    const value = metadata.get(key)
    if (value === undefined) return undefined
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number !== 'number' || !Number.isFinite(number)) throw damaged(`${key} is not a number`)
    return number
  }
  const optionalText = (key: string): string | undefined => {
    const value = metadata.get(key)
    return typeof value === 'string' ? value : undefined
  }
  return {
    optionalNumber,
    optionalText,
    count(key: string): number {
      const value = optionalNumber(key)
      if (value === undefined) throw damaged(`${key} is missing`)
      if (!Number.isInteger(value) || value < 1) throw damaged(`${key} is ${value}`)
      return value
    },
    length: (key: string): number => {
      const value = metadata.get(key)
      if (!Array.isArray(value)) throw damaged(`${key} is missing`)
      return value.length
    },
  }
}

function readShape(path: string, fields: Fields, tensors: TensorTable): LlamaShape {
  const { count, optionalNumber, optionalText } = fields
  const refuse = (detail: string): never => {
    throw new DeapdError('import_unsupported', { path, detail })
  }
  const architecture = optionalText('general.architecture')
  if (architecture !== 'llama') refuse(`its architecture is ${JSON.stringify(architecture)}, not "llama"`)
  if ((optionalNumber('llama.expert_count') ?? 0) > 0) refuse('it is a mixture of experts')
  const biased = Object.keys(tensors).find((name) => name.endsWith('.bias'))
  if (biased) refuse(`it has biases (${biased})`)
  const hiddenSize = count('llama.embedding_length')
  const heads = count('llama.attention.head_count')
  const kvHeads = optionalNumber('llama.attention.head_count_kv') ?? heads
  if (heads % kvHeads !== 0) refuse('heads must be a multiple of key-value heads')
  const headSize = optionalNumber('llama.attention.key_length') ?? hiddenSize / heads
  if (headSize % 2 !== 0) refuse('the head size must be even')
  const turned = optionalNumber('llama.rope.dimension_count') ?? headSize
  if (turned !== headSize) refuse('a partial rotary embedding is not supported')
  const contextTokens = count('llama.context_length')
  const eos = ['eos', 'eot', 'eom'].map((kind) => optionalNumber(`tokenizer.ggml.${kind}_token_id`))
  const eosTokenIds = [...new Set(eos.filter((id) => id !== undefined))]
  return {
    hiddenSize,
    ffnSize: count('llama.feed_forward_length'),
    layers: count('llama.block_count'),
    heads,
    kvHeads,
    headSize,
    vocabSize: tensors['token_embd.weight']?.shape[0] ?? fields.length('tokenizer.ggml.tokens'),
    contextTokens,
    normEpsilon: optionalNumber('llama.attention.layer_norm_rms_epsilon') ?? 1e-5,
    rotary: readRotary(fields, tensors, headSize, contextTokens, refuse),
    tied: !('output.weight' in tensors),
    bosTokenId: optionalNumber('tokenizer.ggml.bos_token_id') ?? 1,
    eosTokenIds: eosTokenIds.length > 0 ? eosTokenIds : [2],
  }
}

function readRotary(
  { optionalNumber, optionalText }: Fields,
  tensors: TensorTable,
  headSize: number,
  contextTokens: number,
  refuse: (detail: string) => never,
): Rotary {
  const theta = optionalNumber('llama.rope.freq_base') ?? 10_000
  const type = optionalText('llama.rope.scaling.type') ?? 'none'
  const factor = optionalNumber('llama.rope.scaling.factor') ?? 1
  const scaling = {
    type: type === 'none' ? 'default' : type,
    factor,
    original_max_position_embeddings: optionalNumber('llama.rope.scaling.original_context_length'),
    // llama.cpp always adds YaRN's own gain to the one in the file.
    attention_factor: (optionalNumber('llama.rope.scaling.attn_factor') ?? 1) * (1 + 0.1 * Math.log(factor)),
  }
  const model = { headSize, theta, contextTokens }
  const known = Object.fromEntries(Object.entries(scaling).filter(([, value]) => value !== undefined))
  const rotary = rotaryFor(known, model)
  if (typeof rotary === 'string') return refuse(rotary)
  return 'rope_freqs.weight' in tensors ? stretched(rotary, tensors) : rotary
}

/** LLaMA 3.1's scaling comes ready-made: one divisor per pair. */
function stretched(rotary: Rotary, tensors: TensorTable): Rotary {
  const divisors = new Float32Array(rotary.inverseFrequencies.length)
  const source = openTensors(tensors)
  try {
    source.read('rope_freqs.weight', 0, 1, divisors)
  } finally {
    source.close()
  }
  return { ...rotary, inverseFrequencies: rotary.inverseFrequencies.map((f, i) => f / divisors[i]) }
}
