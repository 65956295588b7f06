import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const [hidden, ffn, vocab] = [4096, 11008, 32_000]
const tokenizer = fileURLToPath(new URL('../models/support/checkpoint/tokenizer.json', import.meta.url))

/** Noise of a bell's shape in bfloat16, made once and repeated at shifting places: making it must not take longer than reading. */
const noise = new Uint16Array(1 << 22)
const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)
let state = 1
for (let i = 0; i < noise.length; i++) {
  let sum = 0
  for (let k = 0; k < 4; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    sum += state / 2 ** 32 - 0.5
  }
  float[0] = sum * 0.04
  noise[i] = bits[0] >>> 16
}

function writeShard(path, tensors) {
  let offset = 0
  const header = Object.fromEntries(
    tensors.map(([name, shape]) => {
      const bytes = shape.reduce((a, b) => a * b, 2)
      offset += bytes
      return [name, { dtype: 'BF16', shape, data_offsets: [offset - bytes, offset] }]
    }),
  )
  const head = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(head.byteLength))
  const fd = openSync(path, 'w')
  writeSync(fd, Buffer.concat([length, head]))
  for (let left = offset; left > 0; ) {
    const piece = Buffer.from(noise.buffer, 0, Math.min(left, noise.byteLength))
    left -= writeSync(fd, piece)
  }
  closeSync(fd)
}

/** Writes a sharded BF16 checkpoint with LLaMA-2-7B's layers, embeddings and lm_head, as many layers as wanted. */
export function writeBigModel(folder, layers) {
  mkdirSync(folder)
  writeFileSync(join(folder, 'tokenizer.json'), readFileSync(tokenizer))
  const config = {
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: ffn,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    vocab_size: vocab,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    bos_token_id: 1,
    eos_token_id: 2,
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const weightMap = {}
  const shard = (number, tensors) => {
    const file = `model-${String(number).padStart(5, '0')}.safetensors`
    for (const [name] of tensors) weightMap[name] = file
    writeShard(join(folder, file), tensors)
  }
  shard(0, [
    ['model.embed_tokens.weight', [vocab, hidden]],
    ['model.norm.weight', [hidden]],
    ['lm_head.weight', [vocab, hidden]],
  ])
  for (let i = 0; i < layers; i++) {
    const at = (part) => `model.layers.${i}.${part}.weight`
    shard(i + 1, [
      [at('input_layernorm'), [hidden]],
      [at('post_attention_layernorm'), [hidden]],
      ...['q', 'k', 'v', 'o'].map((part) => [at(`self_attn.${part}_proj`), [hidden, hidden]]),
      [at('mlp.gate_proj'), [ffn, hidden]],
      [at('mlp.up_proj'), [ffn, hidden]],
      [at('mlp.down_proj'), [hidden, ffn]],
    ])
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }))
}
