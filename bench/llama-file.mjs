/** LLaMA models as GGUF files for llama.cpp: noise in a published shape, or a real checkpoint. */
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { noise } from '../dist/models/synthetic/noise.js'
import { spellings } from '../dist/models/synthetic/tokenizer.js'
import { half } from './ggml-blocks.mjs'
import { tensorBytes, writeGguf } from './gguf.mjs'

/** ggml's file type numbers, which llama.cpp prints. */
const fileType = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7 }

export const metadata = (name, shape, type, tokens) => ({
  'general.architecture': ['string', 'llama'],
  'general.name': ['string', name],
  'general.file_type': ['u32', fileType[type]],
  'general.quantization_version': ['u32', 2],
  'llama.context_length': ['u32', shape.contextTokens],
  'llama.embedding_length': ['u32', shape.hiddenSize],
  'llama.block_count': ['u32', shape.layers],
  'llama.feed_forward_length': ['u32', shape.ffnSize],
  'llama.attention.head_count': ['u32', shape.heads],
  'llama.attention.head_count_kv': ['u32', shape.kvHeads],
  'llama.attention.layer_norm_rms_epsilon': ['f32', shape.normEpsilon],
  'llama.rope.dimension_count': ['u32', shape.headSize],
  'llama.rope.freq_base': ['f32', shape.ropeTheta],
  'llama.vocab_size': ['u32', shape.vocabSize],
  'tokenizer.ggml.model': ['string', 'llama'],
  'tokenizer.ggml.tokens': ['string', tokens],
  'tokenizer.ggml.scores': ['f32', tokens.map((_, id) => -id)],
  'tokenizer.ggml.token_type': ['i32', tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))],
  'tokenizer.ggml.bos_token_id': ['u32', shape.bosTokenId],
  'tokenizer.ggml.eos_token_id': ['u32', shape.eosTokenIds[0]],
  'tokenizer.ggml.unknown_token_id': ['u32', 0],
})

/** Names and sizes of a LLaMA's matrices and norms in GGUF; dims are [inputs, outputs]. */
export function tensorTable({ hiddenSize: h, ffnSize, layers, heads, kvHeads, headSize, vocabSize, tied }) {
  const layer = (i) => [
    [`blk.${i}.attn_norm.weight`, [h]],
    [`blk.${i}.attn_q.weight`, [h, heads * headSize]],
    [`blk.${i}.attn_k.weight`, [h, kvHeads * headSize]],
    [`blk.${i}.attn_v.weight`, [h, kvHeads * headSize]],
    [`blk.${i}.attn_output.weight`, [heads * headSize, h]],
    [`blk.${i}.ffn_norm.weight`, [h]],
    [`blk.${i}.ffn_gate.weight`, [h, ffnSize]],
    [`blk.${i}.ffn_up.weight`, [h, ffnSize]],
    [`blk.${i}.ffn_down.weight`, [ffnSize, h]],
  ]
  return [
    ['token_embd.weight', [h, vocabSize]],
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    ['output_norm.weight', [h]],
    ...(tied ? [] : [['output.weight', [h, vocabSize]]]),
  ]
}

/** What llama-quantize makes of a "Q4_0" LLaMA: four bits throughout, six for the output matrix, floats for norms. */
const noiseType = (name, dims) => (dims.length === 1 ? 'F32' : name === 'output.weight' ? 'Q6_K' : 'Q4_0')

/** Writes the file unless it is there; returns whether it was written. */
export function writeNoiseModel(path, name, shape, seed) {
  if (existsSync(path)) return false
  mkdirSync(dirname(path), { recursive: true })
  const tensors = tensorTable(shape).map(([tensor, dims]) => {
    const type = noiseType(tensor, dims)
    return { name: tensor, type, dims, data: () => noiseTensor(seed, tensor, type, dims) }
  })
  writeGguf(`${path}.part`, metadata(name, shape, 'Q4_0', spellings(shape.vocabSize)), tensors)
  renameSync(`${path}.part`, path)
  return true
}

/** Codes are noise; scales are such that sums over the inputs neither vanish nor overflow. */
function noiseTensor(seed, name, type, dims) {
  if (type === 'F32') return new Float32Array(dims[0]).fill(1)
  const bytes = Buffer.from(noise(seed, `gguf/${name}`, tensorBytes(type, dims)))
  const [step, at, deviation] = type === 'Q4_0' ? [18, 0, 4.61] : [210, 208, 74 * 18.5]
  const scale = half((name === 'token_embd.weight' ? 0.05 * 30 : 0.7) / (deviation * Math.sqrt(dims[0])))
  for (let i = at; i < bytes.byteLength; i += step) {
    bytes[i] = scale & 0xff
    bytes[i + 1] = scale >> 8
  }
  return bytes
}
