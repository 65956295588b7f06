/** The tiny LLaMA of tiny-llama.ts as a GGUF file, rows of q and k in llama.cpp's order. */
import type { TinyConfig, Weights } from './tiny-llama.ts'

// biome-ignore lint/suspicious/noExplicitAny: the benchmark's modules are plain JavaScript
export const bench = async (file: string): Promise<any> =>
  await import(new URL(`../../bench/${file}`, import.meta.url).href)

/** A SentencePiece vocabulary of `count` pieces: the three special ones, all bytes, then made-up words. */
export const tinyPieces = (count: number): string[] => {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const letters = ['▁', ...'abcdefghijklmnopqrstuvwxyz', '▁t', 'he', '▁the']
  return ['<unk>', '<s>', '</s>', ...bytes, ...letters, ...Array.from({ length: count }, (_, i) => `w${i}`)].slice(
    0,
    count,
  )
}

export const ggufMetadata = (c: TinyConfig): Record<string, [string, unknown]> => ({
  'general.architecture': ['string', 'llama'],
  'general.name': ['string', 'tiny'],
  'llama.context_length': ['u32', c.context],
  'llama.embedding_length': ['u32', c.hidden],
  'llama.block_count': ['u32', c.layers],
  'llama.feed_forward_length': ['u32', c.ffn],
  'llama.attention.head_count': ['u32', c.heads],
  'llama.attention.head_count_kv': ['u32', c.kvHeads],
  'llama.attention.layer_norm_rms_epsilon': ['f32', 1e-5],
  'llama.rope.freq_base': ['f32', 10_000],
  'tokenizer.ggml.model': ['string', 'llama'],
  'tokenizer.ggml.tokens': ['string', tinyPieces(c.vocab)],
  'tokenizer.ggml.scores': ['f32', tinyPieces(c.vocab).map((_, id) => -id)],
  'tokenizer.ggml.token_type': [
    'i32',
    tinyPieces(c.vocab).map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)),
  ],
  'tokenizer.ggml.bos_token_id': ['u32', 1],
  'tokenizer.ggml.eos_token_id': ['u32', 2],
  'tokenizer.chat_template': ['string', '{{ messages[0].content }}'],
})

const ggufNames: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^model\.layers\.(\d+)\./, 'blk.$1.'],
  [/input_layernorm/, 'attn_norm'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
]

interface Options {
  /** Stored form of the matrices; norms are F32. */
  readonly type?: 'F32' | 'F16' | 'BF16'
  readonly metadata?: Record<string, [string, unknown]>
  /** Files to spread the tensors over. */
  readonly shards?: number
}

/** Writes the file, or the series of files, and returns the path to give to an import. */
export async function writeTinyGguf(
  stem: string,
  c: TinyConfig,
  weights: Weights,
  options: Options = {},
): Promise<string> {
  const { writeGguf } = await bench('gguf.mjs')
  const { toF16 } = await bench('ggml-blocks.mjs')
  const { type = 'F32', shards = 1, metadata = ggufMetadata(c) } = options
  const encode = {
    F32: (data: Float32Array) => data,
    F16: toF16,
    BF16: (data: Float32Array) => Uint16Array.from(new Uint32Array(data.buffer), (bits) => bits >>> 16),
  }
  const tensors = [...weights].map(([name, { shape, data }]) => {
    const turned = /[qk]_proj/.test(name) ? interleave(data, shape[1], c.hidden / c.heads) : data
    const stored = shape.length === 1 ? 'F32' : type
    return {
      name: ggufNames.reduce((text, [from, to]) => text.replace(from, to), name),
      type: stored,
      dims: [...shape].reverse(),
      data: () => encode[stored](turned),
    }
  })
  const pad = (n: number): string => String(n).padStart(5, '0')
  const paths = Array.from({ length: shards }, (_, i) =>
    shards === 1 ? `${stem}.gguf` : `${stem}-${pad(i + 1)}-of-${pad(shards)}.gguf`,
  )
  for (const [i, path] of paths.entries()) {
    const own = tensors.filter((_, at) => at % shards === i)
    writeGguf(path, { ...(i === 0 ? metadata : {}), 'split.count': ['u32', shards] }, own)
  }
  return paths[0]
}

/** What llama.cpp's converter does to the rows of q and k: channel j·half + i goes to 2i + j. */
function interleave(data: Float32Array, columns: number, headSize: number): Float32Array {
  const out = new Float32Array(data.length)
  const half = headSize / 2
  for (let row = 0; row < data.length / columns; row++) {
    const head = row - (row % headSize)
    const [j, i] = [Math.floor((row % headSize) / half), row % half]
    out.set(data.subarray(row * columns, (row + 1) * columns), (head + 2 * i + j) * columns)
  }
  return out
}
