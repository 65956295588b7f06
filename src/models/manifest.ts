import Type, { type Static } from 'typebox'
import { Certificate, Routing } from './routing.ts'

/** deapd-model.json: what a model package says about itself. Names are the wire's (snake_case). */
export const Manifest = Type.Object({
  schema: Type.Literal('deapd-model/1'),
  name: Type.String({ minLength: 1, description: 'Display name; the id is the name of the folder.' }),
  description: Type.String(),
  source: Type.String({ description: 'Where the weights come from.' }),
  licence: Type.String(),
  created: Type.String({ description: 'ISO 8601 date and time.' }),
  shape: Type.Object({
    family: Type.Literal('llama'),
    hidden_size: Type.Integer({ minimum: 1 }),
    layers: Type.Integer({ minimum: 1 }),
    heads: Type.Integer({ minimum: 1 }),
    kv_heads: Type.Integer({ minimum: 1 }),
    head_size: Type.Integer({ minimum: 1, description: 'True head size; the graph may pad it.' }),
    cache_head_size: Type.Integer({ minimum: 16, description: 'Head size in the KV cache: a multiple of 16.' }),
    ffn_size: Type.Integer({ minimum: 1 }),
    vocab_size: Type.Integer({ minimum: 1 }),
    context_tokens: Type.Integer({ minimum: 1 }),
    parameters: Type.Integer({ minimum: 1 }),
  }),
  dtype: Type.Union([Type.Literal('float32'), Type.Literal('float16')], { description: 'Activations and KV cache.' }),
  quantisation: Type.Object({
    weights: Type.Union([Type.Literal('int4'), Type.Literal('int8'), Type.Literal('none')]),
    lm_head: Type.Union([Type.Literal('int8'), Type.Literal('none')]),
    block: Type.Integer({ minimum: 0, description: 'Weights that share one scale; 0 without quantisation.' }),
  }),
  bos_token_id: Type.Integer({ minimum: 0 }),
  eos_token_ids: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 }),
  levels: Type.Array(
    Type.Object({
      share: Type.Number({
        exclusiveMinimum: 0,
        maximum: 1,
        description: 'Weight bytes read per decoded token over the full level.',
      }),
      weight_bytes: Type.Integer({
        minimum: 1,
        description: 'Bytes read per decoded token, lm_head included, embeddings not.',
      }),
      loss: Type.Union([Type.Number(), Type.Null()], {
        description:
          'Mean Kullback-Leibler divergence from the full level in nats a token, on answers after prompts that the full level read; null when not measured.',
      }),
      exact_match: Type.Optional(
        Type.Number({
          minimum: 0,
          maximum: 1,
          description: 'Share of the answers it was measured on that were right.',
        }),
      ),
    }),
    { minItems: 1, description: 'From the smallest sub-network to the full one.' },
  ),
  chunks: Type.Object({
    channels: Type.Integer({ minimum: 1, description: 'MLP channels in one chunk; the last may be partial.' }),
    order: Type.Union(
      [
        Type.Literal('weight-norm'),
        Type.Literal('loss-per-joule'),
        Type.Literal('flap'),
        Type.Literal('magnitude'),
        Type.Literal('random'),
        Type.Literal('trained'),
      ],
      { description: 'By what it was decided which channels and heads the levels leave out.' },
    ),
    widths: Type.Array(Type.Array(Type.Integer({ minimum: 0 })), {
      description: 'MLP channels per layer and level, the first so many in order.json: widths[layer][level].',
    }),
    groups: Type.Optional(
      Type.Array(Type.Array(Type.Integer({ minimum: 0 })), {
        description: 'Key-value heads whose queries are read, per layer and level: groups[layer][level]. Absent: all.',
      }),
    ),
  }),
  kv_scales: Type.Optional(
    Type.String({
      description:
        'File of float32 [layers, 2, KV heads · cache head size]: what one step of an int8 key or value stands for. Absent: keys and values stay float32.',
    }),
  ),
  energy_priors: Type.Union(
    [
      Type.Null(),
      Type.Object({
        board: Type.String(),
        source: Type.String({ description: 'Priors of the board, or a calibration and its date.' }),
        uncertainty: Type.Number({ description: 'Of each figure, as a share of it.' }),
        as_if: Type.Union([Type.String(), Type.Null()], { description: 'The model that this small one stands for.' }),
        gpu_hz: Type.Number({ description: 'The clock of fewest joules, at which all figures hold.' }),
        context_tokens: Type.Number(),
        joules_per_token: Type.Array(Type.Number(), { description: 'Of each level, in decode.' }),
        group_joules: Type.Object({ mlp: Type.Number(), heads: Type.Number() }, { additionalProperties: false }),
      }),
    ],
    { description: 'Estimated joules; what the levels were chosen by.' },
  ),
  pruning: Type.Optional(
    Type.Object(
      {
        method: Type.String(),
        seed: Type.Integer(),
        rounds: Type.Integer({ description: 'Times the groups were scored again.' }),
        calibration_sha256: Type.String({ description: 'Of the calibration file.' }),
        texts: Type.Integer({ description: 'Texts of it that groups were scored on.' }),
        held_out_texts: Type.Integer({ description: 'Others, that the losses of the levels were measured on.' }),
        compensated: Type.Boolean({ description: 'Whether means stand for what a level leaves out.' }),
      },
      { description: 'How the levels were found; prune-log.jsonl has every round.' },
    ),
  ),
  routing: Type.Optional(Routing),
  certificate: Type.Union([Type.Null(), Certificate]),
  default_system_prompt: Type.Union([Type.String(), Type.Null()]),
  sample_questions: Type.Array(Type.String()),
  files: Type.Record(Type.String(), Type.Object({ sha256: Type.String(), bytes: Type.Integer({ minimum: 0 }) })),
})
export type Manifest = Static<typeof Manifest>

export const manifestFile = 'deapd-model.json'
