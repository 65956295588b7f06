import { type LlamaShape, parseConfig } from '../source/config.ts'

/** What all have in common. */
const llama = { model_type: 'llama', hidden_act: 'silu', rms_norm_eps: 1e-5, bos_token_id: 1, eos_token_id: 2 }

/** Models whose shape can be filled with noise for timing: their published config.json, a row each. */
export const syntheticConfigs = {
  'llama-2-7b': {
    ...llama,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: 32_000,
    max_position_embeddings: 4096,
    rope_theta: 10_000,
  },
  'llama-3.2-1b': {
    ...llama,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 128_256,
    // The model allows 131,072; a cache that large would not fit beside anything.
    max_position_embeddings: 8192,
    rope_theta: 500_000,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    tie_word_embeddings: true,
  },
  'tinyllama-1.1b': {
    ...llama,
    hidden_size: 2048,
    intermediate_size: 5632,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    vocab_size: 32_000,
    max_position_embeddings: 2048,
    rope_theta: 10_000,
  },
  'stories-110m': {
    ...llama,
    hidden_size: 768,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    vocab_size: 32_000,
    max_position_embeddings: 1024,
    rope_theta: 10_000,
  },
  'stories-260k': {
    ...llama,
    hidden_size: 64,
    intermediate_size: 172,
    num_hidden_layers: 5,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    vocab_size: 512,
    max_position_embeddings: 512,
    rope_theta: 10_000,
  },
}

export type SyntheticName = keyof typeof syntheticConfigs

/** The shape of a row, with fewer layers if wanted. */
export function syntheticShape(name: SyntheticName, layers?: number): LlamaShape {
  const config = syntheticConfigs[name]
  return parseConfig(name, { ...config, num_hidden_layers: layers ?? config.num_hidden_layers })
}
