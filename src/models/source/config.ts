import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { DeapdError } from '../../errors.ts'

/** The parts of a LLaMA config.json that change the arithmetic. */
const LlamaConfig = Type.Object({
  model_type: Type.Literal('llama'),
  hidden_size: Type.Integer({ minimum: 1 }),
  intermediate_size: Type.Integer({ minimum: 1 }),
  num_hidden_layers: Type.Integer({ minimum: 1 }),
  num_attention_heads: Type.Integer({ minimum: 1 }),
  num_key_value_heads: Type.Optional(Type.Integer({ minimum: 1 })),
  head_dim: Type.Optional(Type.Union([Type.Integer({ minimum: 2 }), Type.Null()])),
  vocab_size: Type.Integer({ minimum: 1 }),
  max_position_embeddings: Type.Integer({ minimum: 1 }),
  rms_norm_eps: Type.Number({ exclusiveMinimum: 0 }),
  rope_theta: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  rope_scaling: Type.Optional(Type.Unknown()),
  hidden_act: Type.Optional(Type.String()),
  attention_bias: Type.Optional(Type.Boolean()),
  mlp_bias: Type.Optional(Type.Boolean()),
  tie_word_embeddings: Type.Optional(Type.Boolean()),
  bos_token_id: Type.Optional(Type.Integer({ minimum: 0 })),
  eos_token_id: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Array(Type.Integer({ minimum: 0 }))])),
})

export interface LlamaShape {
  readonly hiddenSize: number
  readonly ffnSize: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headSize: number
  readonly vocabSize: number
  readonly contextTokens: number
  readonly normEpsilon: number
  readonly ropeTheta: number
  readonly tied: boolean
  readonly bosTokenId: number
  readonly eosTokenIds: readonly number[]
}

/** What we refuse rather than compute wrongly. */
const refusals: readonly [string, (config: Static<typeof LlamaConfig>) => boolean][] = [
  ['rope_scaling is not supported', (c) => c.rope_scaling !== undefined && c.rope_scaling !== null],
  ['an activation other than silu is not supported', (c) => (c.hidden_act ?? 'silu') !== 'silu'],
  ['attention_bias is not supported', (c) => c.attention_bias === true],
  ['mlp_bias is not supported', (c) => c.mlp_bias === true],
  [
    'heads must be a multiple of key-value heads',
    (c) => c.num_attention_heads % (c.num_key_value_heads ?? c.num_attention_heads) !== 0,
  ],
  ['the head size must be even', (c) => headSize(c) % 2 !== 0],
]

const headSize = (c: Static<typeof LlamaConfig>): number => c.head_dim ?? c.hidden_size / c.num_attention_heads

/** Reads a config.json, or says in one sentence why this model cannot be imported. */
export function parseConfig(path: string, config: unknown): LlamaShape {
  const modelType = (config as { model_type?: unknown } | undefined)?.model_type
  if (modelType !== 'llama') {
    throw new DeapdError('import_unsupported', {
      path,
      detail: `its model_type is ${JSON.stringify(modelType)}, not "llama"`,
    })
  }
  if (!Value.Check(LlamaConfig, config)) {
    const [first] = Value.Errors(LlamaConfig, config)
    throw new DeapdError('import_damaged', { path, detail: `${first.instancePath || 'config'} ${first.message}` })
  }
  const refused = refusals.find(([, applies]) => applies(config))
  if (refused) throw new DeapdError('import_unsupported', { path, detail: refused[0] })
  const eos = config.eos_token_id ?? 2
  return {
    hiddenSize: config.hidden_size,
    ffnSize: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads ?? config.num_attention_heads,
    headSize: headSize(config),
    vocabSize: config.vocab_size,
    contextTokens: config.max_position_embeddings,
    normEpsilon: config.rms_norm_eps,
    ropeTheta: config.rope_theta ?? 10_000,
    tied: config.tie_word_embeddings ?? false,
    bosTokenId: config.bos_token_id ?? 1,
    eosTokenIds: Array.isArray(eos) ? eos : [eos],
  }
}
