import Type, { type Static, type TProperties } from 'typebox'
import { Value } from 'typebox/value'

/**
 * Rotary position embedding as tables can hold it: position p turns pair i by p · inverseFrequencies[i] radians, and cosine and
 * sine are multiplied by `attentionFactor`.
 */
export interface Rotary {
  readonly inverseFrequencies: readonly number[]
  readonly attentionFactor: number
}

export const plainRotary = (headSize: number, theta: number): Rotary => ({
  inverseFrequencies: Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize)),
  attentionFactor: 1,
})

/** What a scaling needs to know of the model beside its own settings. */
interface Model {
  readonly headSize: number
  readonly theta: number
  readonly contextTokens: number
}

const positive = Type.Number({ exclusiveMinimum: 0 })

interface Scaling {
  readonly settings: TProperties
  // biome-ignore lint/suspicious/noExplicitAny: each row is checked against its own settings, see `row`
  readonly apply: (settings: any, model: Model) => Rotary
}

const row = <T extends TProperties>(
  settings: T,
  apply: (settings: Static<Type.TObject<T>>, model: Model) => Rotary,
): Scaling => ({ settings, apply })

/** rope_scaling types of Hugging Face configurations that do not depend on the length of the conversation. */
const scalings: Readonly<Record<string, Scaling>> = {
  default: row({}, (_, { headSize, theta }) => plainRotary(headSize, theta)),
  linear: row({ factor: positive }, ({ factor }, { headSize, theta }) => ({
    inverseFrequencies: plainRotary(headSize, theta).inverseFrequencies.map((f) => f / factor),
    attentionFactor: 1,
  })),
  llama3: row(
    {
      factor: positive,
      low_freq_factor: positive,
      high_freq_factor: positive,
      original_max_position_embeddings: positive,
    },
    llama3,
  ),
  yarn: row(
    {
      factor: positive,
      original_max_position_embeddings: Type.Optional(positive),
      attention_factor: Type.Optional(Type.Union([positive, Type.Null()])),
      beta_fast: Type.Optional(Type.Union([positive, Type.Null()])),
      beta_slow: Type.Optional(Type.Union([positive, Type.Null()])),
      mscale: Type.Optional(Type.Number()),
      mscale_all_dim: Type.Optional(Type.Number()),
      truncate: Type.Optional(Type.Boolean()),
    },
    yarn,
  ),
}

/** The rotary tables' rule for a rope_scaling object, or a sentence that says why there is none. */
export function rotaryFor(
  scaling: Readonly<Record<string, unknown>> | null | undefined,
  model: Model,
): Rotary | string {
  if (!scaling) return plainRotary(model.headSize, model.theta)
  const type = String(scaling.rope_type ?? scaling.type ?? 'default')
  const found = Object.hasOwn(scalings, type) ? scalings[type] : undefined
  if (!found) {
    const known = Object.keys(scalings).join(', ')
    return `rope_scaling of type "${type}" cannot be written as fixed tables (${known} can)`
  }
  const schema = Type.Object(found.settings)
  if (!Value.Check(schema, scaling)) {
    const [first] = Value.Errors(schema, scaling)
    return `rope_scaling of type "${type}": ${first.instancePath.slice(1) || 'it'} ${first.message}`
  }
  return found.apply(scaling, model)
}

/** LLaMA 3.1: long waves are stretched by `factor`, short ones kept, those between blended. */
function llama3(
  s: { factor: number; low_freq_factor: number; high_freq_factor: number; original_max_position_embeddings: number },
  { headSize, theta }: Model,
): Rotary {
  const inverseFrequencies = plainRotary(headSize, theta).inverseFrequencies.map((f) => {
    const turns = (s.original_max_position_embeddings * f) / (2 * Math.PI)
    if (turns < s.low_freq_factor) return f / s.factor
    if (turns > s.high_freq_factor) return f
    const smooth = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor)
    return ((1 - smooth) * f) / s.factor + smooth * f
  })
  return { inverseFrequencies, attentionFactor: 1 }
}

interface YarnSettings {
  readonly factor: number
  readonly original_max_position_embeddings?: number
  readonly attention_factor?: number | null
  readonly beta_fast?: number | null
  readonly beta_slow?: number | null
  readonly mscale?: number
  readonly mscale_all_dim?: number
  readonly truncate?: boolean
}

/** YaRN (arXiv 2309.00071): a ramp over the pairs between stretched and kept, and a temperature for attention. */
function yarn(s: YarnSettings, { headSize, theta, contextTokens }: Model): Rotary {
  const original = s.original_max_position_embeddings ?? contextTokens
  const pairTurning = (turns: number): number =>
    (headSize * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [low, high] = [pairTurning(s.beta_fast ?? 32), pairTurning(s.beta_slow ?? 1)]
  const from = Math.max(0, s.truncate === false ? low : Math.floor(low))
  const to = Math.min(headSize - 1, s.truncate === false ? high : Math.ceil(high))
  const inverseFrequencies = plainRotary(headSize, theta).inverseFrequencies.map((f, i) => {
    const stretched = Math.min(1, Math.max(0, (i - from) / (to === from ? 0.001 : to - from)))
    return (f / s.factor) * stretched + f * (1 - stretched)
  })
  return { inverseFrequencies, attentionFactor: s.attention_factor ?? yarnAttention(s) }
}

function yarnAttention({ factor, mscale, mscale_all_dim: all }: YarnSettings): number {
  const gain = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1)
  return mscale && all ? gain(mscale) / gain(all) : gain(1)
}
