/** A real checkpoint as a GGUF file, in the types llama-quantize would choose. */

import { openHuggingFace } from '../dist/models/source/huggingface.js'
import { readJson } from '../dist/models/source/safetensors.js'
import { openTensors } from '../dist/models/source/tensors.js'
import { spellings } from '../dist/models/synthetic/tokenizer.js'
import { toF16, toQ4_0, toQ8_0 } from './ggml-blocks.mjs'
import { writeGguf } from './gguf.mjs'
import { metadata, tensorTable } from './llama-file.mjs'

const encoders = { F32: (values) => values, F16: toF16, Q8_0: toQ8_0, Q4_0: toQ4_0 }

/** Where a GGUF tensor comes from in the Hugging Face layout. */
const parts = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}
const whole = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

function sourceName(name) {
  if (name in whole) return whole[name]
  const [, layer, part] = name.match(/^blk\.(\d+)\.(\w+)\.weight$/)
  return `model.layers.${layer}.${parts[part]}.weight`
}

/**
 * As llama-quantize does it: norms stay floats; what four bits would hurt most (output, or the embedding that doubles as it)
 * gets eight; a width that blocks of 32 do not divide stays half precision.
 */
function typeOf(type, name, dims, tied) {
  if (dims.length === 1 || type === 'F32') return 'F32'
  if (dims[0] % 32 !== 0) return 'F16'
  return name === 'output.weight' || (tied && name === 'token_embd.weight') ? 'Q8_0' : type
}

/** Writes the checkpoint in `folder` to `path` with its matrices in `type`; returns how many fell back to half precision. */
export function writeCheckpoint(folder, path, type) {
  const { shape, tensors } = openHuggingFace(folder)
  const { read, close } = openTensors(tensors)
  let fallbacks = 0
  const list = tensorTable(shape).map(([name, dims]) => {
    const chosen = typeOf(type, name, dims, shape.tied)
    if (chosen === 'F16') fallbacks++
    const data = () => encoders[chosen](permuted(name, dims, readWhole(read, sourceName(name), dims), shape))
    return { name, type: chosen, dims, data }
  })
  const rope = { ...shape, ropeTheta: readJson(folder, 'config.json').rope_theta ?? 10_000 }
  writeGguf(path, metadata('checkpoint', rope, type, spellings(shape.vocabSize)), list)
  close()
  return { fallbacks, matrices: list.filter(({ dims }) => dims.length === 2).length }
}

function readWhole(read, name, dims) {
  const values = new Float32Array(dims.reduce((a, b) => a * b, 1))
  read(name, 0, dims[1] ?? 1, values)
  return values
}

/** GGUF keeps the rows of Q and K in pairs (i, i + 1) of a rotation; Hugging Face in halves (i, i + size/2). */
function permuted(name, [columns], values, { heads, kvHeads, headSize }) {
  const count = name.includes('attn_q') ? heads : name.includes('attn_k') ? kvHeads : 0
  if (count === 0) return values
  const out = new Float32Array(values.length)
  for (let head = 0; head < count; head++) {
    for (let i = 0; i < headSize; i++) {
      const from = (head * headSize + i) * columns
      const to = head * headSize + (i < headSize / 2 ? 2 * i : 2 * (i - headSize / 2) + 1)
      out.set(values.subarray(from, from + columns), to * columns)
    }
  }
  return out
}
