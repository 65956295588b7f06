import { type Static, Type } from 'typebox'

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

/** The carbon label of a package, as label.json and inside report.json. */
export const Label = Type.Object({
  schema: Type.Literal('deapd-label/1'),
  model: Type.String(),
  digest: Type.String(),
  date: Type.String(),
  energy_of: Type.String({ description: 'The network whose joules these are.' }),
  board: Type.String(),
  power_state: Type.String(),
  policy: Type.String(),
  joules: Type.Union([Type.Literal('simulated'), Type.Literal('measured')]),
  accuracy_kind: Type.Union([Type.Literal('toy'), Type.Literal('task')]),
  joules_per_token: Type.Number({ description: 'Decoding.' }),
  joules_per_answer: Nullable(Type.Number({ description: 'Decoding and prefill.' })),
  grams_per_1000_answers: Nullable(Type.Number({ description: 'gCO2eq at the intensity of `grid`.' })),
  grid: Type.Object({
    name: Type.String(),
    grams_per_kwh: Type.Number(),
    year: Type.Integer(),
    source: Type.String(),
  }),
  accuracy_percent: Nullable(Type.Number()),
  loss_points: Nullable(Type.Number({ description: 'Against the full int4 network; above 0 is worse.' })),
  loss_high_points: Nullable(Type.Number({ description: 'Upper end of the 95 % interval of the loss.' })),
  margin_points: Type.Number(),
  within_margin: Nullable(Type.Boolean()),
  certificate: Type.Object({
    state: Type.Union([Type.Literal('valid'), Type.Literal('void'), Type.Literal('none')]),
    margin_points: Nullable(Type.Number()),
    confidence: Nullable(Type.Number()),
    n: Nullable(Type.Integer()),
    date: Nullable(Type.String()),
  }),
  index: Nullable(
    Type.Number({
      description: 'Joules per right answer in percent of the full int4 network’s in the same power state.',
    }),
  ),
  class: Nullable(Type.String({ description: 'A to G; null without an evaluation or outside the margin.' })),
})
export type Label = Static<typeof Label>

/** Upper ends of the classes in percent of the joules per right answer of the full int4 network, which itself is G. */
export const bands = [
  { name: 'A', upTo: 40 },
  { name: 'B', upTo: 50 },
  { name: 'C', upTo: 60 },
  { name: 'D', upTo: 70 },
  { name: 'E', upTo: 80 },
  { name: 'F', upTo: 90 },
  { name: 'G', upTo: Number.POSITIVE_INFINITY },
] as const

/** The class of an index; none for a model whose loss is not known to lie within the margin, however thrifty. */
export const classOf = (index: number | null, withinMargin: boolean | null): string | null =>
  index === null || withinMargin !== true ? null : (bands.find(({ upTo }) => index <= upTo)?.name ?? null)
