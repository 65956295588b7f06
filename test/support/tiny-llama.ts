/**
 * A tiny LLaMA checkpoint with seeded random weights, written as a Hugging Face folder, and an independent forward pass in
 * plain float64 to hold the engine against. No real weights are needed for these tests.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { trainTokenizer } from '../../src/evaluate/support/bpe.ts'

export interface TinyConfig {
  readonly hidden: number
  readonly ffn: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly vocab: number
  readonly context: number
  readonly tied: boolean
}

export const tinyConfig: TinyConfig = {
  hidden: 32,
  ffn: 108,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  vocab: 300,
  context: 96,
  tied: true,
}

export type Weights = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>

export function tinyWeights(c: TinyConfig, seed: number): Weights {
  const random = xoroshiro128plus(seed)
  const draw = (shape: number[], scale: number, base = 0) => ({
    shape,
    data: Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      () => base + (uniformFloat64(random) * 2 - 1) * scale,
    ),
  })
  const size = c.hidden / c.heads
  const all = new Map([['model.embed_tokens.weight', draw([c.vocab, c.hidden], 1)]])
  for (let i = 0; i < c.layers; i++) {
    const at = `model.layers.${i}`
    all.set(`${at}.input_layernorm.weight`, draw([c.hidden], 0.3, 1))
    all.set(`${at}.post_attention_layernorm.weight`, draw([c.hidden], 0.3, 1))
    all.set(`${at}.self_attn.q_proj.weight`, draw([c.hidden, c.hidden], 0.4))
    all.set(`${at}.self_attn.k_proj.weight`, draw([c.kvHeads * size, c.hidden], 0.4))
    all.set(`${at}.self_attn.v_proj.weight`, draw([c.kvHeads * size, c.hidden], 0.4))
    all.set(`${at}.self_attn.o_proj.weight`, draw([c.hidden, c.hidden], 0.4))
    all.set(`${at}.mlp.gate_proj.weight`, draw([c.ffn, c.hidden], 0.4))
    all.set(`${at}.mlp.up_proj.weight`, draw([c.ffn, c.hidden], 0.4))
    all.set(`${at}.mlp.down_proj.weight`, draw([c.hidden, c.ffn], 0.4))
  }
  all.set('model.norm.weight', draw([c.hidden], 0.3, 1))
  if (!c.tied) all.set('lm_head.weight', draw([c.vocab, c.hidden], 1))
  return all
}

interface Stored {
  readonly dtype: string
  encode(data: Float32Array): ArrayBufferView
}

const float32: Stored = { dtype: 'F32', encode: (data) => data }

/** Writes the folder; `shards` > 1 spreads the tensors over several safetensors files. */
export function writeCheckpoint(
  folder: string,
  c: TinyConfig,
  weights: Weights,
  shards = 1,
  { dtype, encode }: Stored = float32,
): string {
  mkdirSync(folder, { recursive: true })
  const config = {
    model_type: 'llama',
    hidden_size: c.hidden,
    intermediate_size: c.ffn,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    num_key_value_heads: c.kvHeads,
    vocab_size: c.vocab,
    max_position_embeddings: c.context,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: c.tied,
    bos_token_id: 1,
    eos_token_id: 2,
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const text = ['the quick brown fox', 'jumps over the lazy dog', 'hello world']
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(trainTokenizer(text, c.vocab)))
  writeFileSync(
    join(folder, 'chat_template.jinja'),
    '{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>',
  )
  const names = [...weights.keys()]
  for (let shard = 0; shard < shards; shard++) {
    const mine = names.filter((_, i) => i % shards === shard)
    let offset = 0
    const header = Object.fromEntries(
      mine.map((name) => {
        const { shape, data } = weights.get(name) ?? { shape: [], data: new Float32Array() }
        const { byteLength } = encode(data)
        const entry = { dtype, shape, data_offsets: [offset, offset + byteLength] }
        offset += byteLength
        return [name, entry]
      }),
    )
    const head = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(head.byteLength))
    const bodies = mine.map((name) => {
      const { buffer, byteOffset, byteLength } = encode(weights.get(name)?.data ?? new Float32Array())
      return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
    })
    writeFileSync(join(folder, `model-${shard + 1}.safetensors`), Buffer.concat([length, head, ...bodies]))
  }
  return folder
}

/**
 * Logits of every position, float64, computed straight from the definition. `channels[layer][position]` limits the MLP
 * channels and `groups[layer][position]` the key-value heads that are read.
 */
export function referenceLogits(
  c: TinyConfig,
  weights: Weights,
  ids: readonly number[],
  channels?: readonly (readonly (readonly number[])[])[],
  groups?: readonly (readonly (readonly number[])[])[],
): number[][] {
  const get = (name: string): Float32Array => weights.get(name)?.data ?? new Float32Array()
  const times = (matrix: Float32Array, x: readonly number[]): number[] => {
    const rows = matrix.length / x.length
    return Array.from({ length: rows }, (_, r) =>
      x.reduce((sum, value, i) => sum + matrix[r * x.length + i] * value, 0),
    )
  }
  const norm = (x: readonly number[], scale: Float32Array): number[] => {
    const rms = Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length + 1e-5)
    return x.map((v, i) => (v / rms) * scale[i])
  }
  const size = c.hidden / c.heads
  const rotate = (x: number[], position: number): number[] => {
    const out = [...x]
    for (let h = 0; h < x.length / size; h++) {
      for (let i = 0; i < size / 2; i++) {
        const angle = position * 10000 ** ((-2 * i) / size)
        const [a, b] = [x[h * size + i], x[h * size + i + size / 2]]
        out[h * size + i] = a * Math.cos(angle) - b * Math.sin(angle)
        out[h * size + i + size / 2] = b * Math.cos(angle) + a * Math.sin(angle)
      }
    }
    return out
  }
  let xs = ids.map((id) => [...get('model.embed_tokens.weight').subarray(id * c.hidden, (id + 1) * c.hidden)])
  for (let layer = 0; layer < c.layers; layer++) {
    const at = (part: string): Float32Array => get(`model.layers.${layer}.${part}.weight`)
    const hs = xs.map((x) => norm(x, at('input_layernorm')))
    const qs = hs.map((h, p) => rotate(times(at('self_attn.q_proj'), h), p))
    const ks = hs.map((h, p) => rotate(times(at('self_attn.k_proj'), h), p))
    const vs = hs.map((h) => times(at('self_attn.v_proj'), h))
    const all = Array.from({ length: c.ffn }, (_, i) => i)
    xs = xs.map((x, p) => {
      const read = Array.from({ length: c.heads }, (_, h) => {
        const g = Math.floor((h * c.kvHeads) / c.heads)
        if (groups && !groups[layer][p].includes(g)) return Array.from({ length: size }, () => 0)
        const scores = ks
          .slice(0, p + 1)
          .map(
            (k) =>
              Array.from({ length: size }, (_, i) => qs[p][h * size + i] * k[g * size + i]).reduce((a, b) => a + b) /
              Math.sqrt(size),
          )
        const top = Math.max(...scores)
        const exps = scores.map((s) => Math.exp(s - top))
        const sum = exps.reduce((a, b) => a + b)
        return Array.from({ length: size }, (_, i) => exps.reduce((s, e, t) => s + (e / sum) * vs[t][g * size + i], 0))
      }).flat()
      const mid = times(at('self_attn.o_proj'), read).map((v, i) => v + x[i])
      const m = norm(mid, at('post_attention_layernorm'))
      const [gate, up] = [times(at('mlp.gate_proj'), m), times(at('mlp.up_proj'), m)]
      const down = at('mlp.down_proj')
      return mid.map(
        (v, i) =>
          v +
          (channels?.[layer][p] ?? all).reduce(
            (s, ch) => s + down[i * c.ffn + ch] * up[ch] * (gate[ch] / (1 + Math.exp(-gate[ch]))),
            0,
          ),
      )
    })
  }
  const head = c.tied ? get('model.embed_tokens.weight') : get('lm_head.weight')
  return xs.map((x) => times(head, norm(x, get('model.norm.weight'))))
}
