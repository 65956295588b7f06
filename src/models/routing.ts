import Type, { type Static } from 'typebox'

/** A logistic model as plain numbers: P = 1 / (1 + e^−(bias + Σ weight · signal)). */
export const Logistic = Type.Object({
  bias: Type.Number(),
  weights: Type.Record(Type.String(), Type.Number(), { description: 'Weight of each signal, by its name.' }),
})
export type Logistic = Static<typeof Logistic>

/** How far a router may go: two thresholds, from which everything else follows. */
export const RouteLimits = Type.Object({
  risk: Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'An answer starts at the smallest level whose estimated risk is at most this; else at the full one.',
  }),
  doubt: Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'A token whose estimated doubt reaches this is decided again by the full network.',
  }),
})
export type RouteLimits = Static<typeof RouteLimits>

/** `routing` of a package: how the level follows from the complexity of a request and of each token. */
export const Routing = Type.Object({
  requests: Type.Array(Logistic, {
    description: 'Per level below the full one: P(this level alone answers wrongly | signals of the request).',
  }),
  token: Type.Object(Logistic.properties, {
    description: 'P(the full network would choose another token | signals of the token).',
  }),
  hold: Type.Integer({ minimum: 1, description: 'Calm tokens after which an answer goes down again.' }),
  balanced: RouteLimits,
  eco: RouteLimits,
})
export type Routing = Static<typeof Routing>

/** Goes up when the same routing would lead to other levels or other tokens: what was certified before is then another router. */
export const routerRevision = 2

/** One point of the grid, tested in this order from the safest on. */
export const GridPoint = Type.Object({
  ...RouteLimits.properties,
  losses: Type.Integer({ minimum: 0 }),
  p_value: Type.Number(),
  cost: Type.Number({ description: 'Weight bytes read over those of the full network, mean per answer.' }),
})
export type GridPoint = Static<typeof GridPoint>

/** What a package may claim of `balanced`, and of what that was measured. */
export const Certificate = Type.Object({
  levels: Type.Array(Type.Integer({ minimum: 0 }), { description: 'Levels that routed answers may use.' }),
  margin_points: Type.Number({ description: 'Bound on the loss against the full network, in points.' }),
  confidence: Type.Number(),
  n: Type.Integer({ minimum: 1, description: 'Prompts of the calibration split.' }),
  data_sha256: Type.String(),
  date: Type.String(),
  loss: Type.Union([Type.Literal('answers'), Type.Literal('texts')], {
    description: 'answers: the full network is right and the routed one is wrong. texts: their greedy texts differ.',
  }),
  losses: Type.Integer({ minimum: 0 }),
  grid: Type.Array(GridPoint),
  chosen: Type.Integer({ minimum: 0, description: 'Index in the grid.' }),
  seed: Type.Integer(),
  fit_n: Type.Integer({ minimum: 0, description: 'Prompts the estimates were fitted on; none of them is in n.' }),
  differing: Type.Object(
    { count: Type.Integer({ minimum: 0 }), bound: Type.Number() },
    {
      description:
        'Answers whose text differs from the full network’s, and the 99 % upper bound of their rate: what the drift monitor holds shadow runs against.',
    },
  ),
  subject_sha256: Type.Object(
    { weights: Type.String(), tokenizer: Type.String(), routing: Type.String() },
    { description: 'What was certified: graph, weights and levels; tokenizer and template; estimates and thresholds.' },
  ),
})
export type Certificate = Static<typeof Certificate>
