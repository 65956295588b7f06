import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { DeapdError } from '../../errors.ts'
import { type Rotary, rotaryFor } from './rope.ts'

const Scaling = Type.Record(Type.String(), Type.Unknown())
const TokenIds = Type.Union([Type.Integer({ minimum: 0 }), Type.Array(Type.Integer({ minimum: 0 })), Type.Null()])

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
  rope_scaling: Type.Optional(Type.Union([Scaling, Type.Null()])),
  /** Where newer versions of transformers put both of the above. */
  rope_parameters: Type.Optional(Type.Union([Scaling, Type.Null()])),
  partial_rotary_factor: Type.Optional(Type.Number()),
  hidden_act: Type.Optional(Type.String()),
  attention_bias: Type.Optional(Type.Boolean()),
  mlp_bias: Type.Optional(Type.Boolean()),
  tie_word_embeddings: Type.Optional(Type.Boolean()),
  bos_token_id: Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()])),
  eos_token_id: Type.Optional(TokenIds),
})
type LlamaConfig = Static<typeof LlamaConfig>

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
  readonly rotary: Rotary
  readonly tied: boolean
  readonly bosTokenId: number
  readonly eosTokenIds: readonly number[]
}

/** What we refuse rather than compute wrongly. */
const refusals: readonly [string, (config: LlamaConfig) => boolean][] = [
  ['an activation other than silu is not supported', (c) => (c.hidden_act ?? 'silu') !== 'silu'],
  ['attention_bias is not supported', (c) => c.attention_bias === true],
  ['mlp_bias is not supported', (c) => c.mlp_bias === true],
  [
    'heads must be a multiple of key-value heads',
    (c) => c.num_attention_heads % (c.num_key_value_heads ?? c.num_attention_heads) !== 0,
  ],
  ['hidden_size must be a multiple of the heads', (c) => !Number.isInteger(headSize(c))],
  ['the head size must be even', (c) => headSize(c) % 2 !== 0],
  [
    'a partial rotary embedding is not supported',
    (c) => (c.partial_rotary_factor ?? c.rope_parameters?.partial_rotary_factor ?? 1) !== 1,
  ],
]

const headSize = (c: LlamaConfig): number => c.head_dim ?? c.hidden_size / c.num_attention_heads

/**
 * Reads a config.json, or says in one sentence why this model cannot be imported. `generation` is generation_config.json: a
 * chat model names there the tokens that end a turn.
 */
export function parseConfig(path: string, config: unknown, generation: Record<string, unknown> = {}): LlamaShape {
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
  const rotary = rotaryOf(config)
  if (typeof rotary === 'string') throw new DeapdError('import_unsupported', { path, detail: rotary })
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
    rotary,
    tied: config.tie_word_embeddings ?? false,
    bosTokenId: config.bos_token_id ?? 1,
    eosTokenIds: eosTokens(config, generation),
  }
}

function rotaryOf(config: LlamaConfig): Rotary | string {
  const parameters = config.rope_parameters
  const theta = Number(config.rope_theta ?? parameters?.rope_theta ?? 10_000)
  const model = { headSize: headSize(config), theta, contextTokens: config.max_position_embeddings }
  return rotaryFor(config.rope_scaling ?? parameters, model)
}

function eosTokens(config: LlamaConfig, generation: Record<string, unknown>): readonly number[] {
  const own = Value.Check(TokenIds, generation.eos_token_id) ? generation.eos_token_id : null
  const ids = [...new Set([config.eos_token_id ?? [], own ?? []].flat())]
  return ids.length > 0 ? ids : [2]
}
