import Type, { type Static } from 'typebox'
import type { Done } from './answers.ts'
import { isFilled, Maybe } from './body.ts'
import { EnergyField, energyBill } from './energy.ts'
import type { InstalledModel } from './ports.ts'
import { OllamaOptions } from './sampling.ts'

/** Fields that `/api/chat` and `/api/generate` share. `think`, `tools` and unknown fields are ignored. */
export const ollamaFields = {
  model: Type.String({ minLength: 1 }),
  stream: Maybe(Type.Boolean()),
  keep_alive: Maybe(Type.Union([Type.Number(), Type.String()])),
  options: OllamaOptions,
  energy: EnergyField,
}

const OllamaFields = Type.Object(ollamaFields)
type KeepAlive = Static<typeof OllamaFields>['keep_alive']

export const ollamaRefusals = [{ param: 'format', detail: 'Output bound to JSON or a schema (format)', asks: isFilled }]

/** The last line of an answer. Durations are whole nanoseconds, at least 1, and add up to no more than the total. */
export function closingLine(done: Done, startedAtNs: bigint): object {
  const load = nanoseconds(done.queueSeconds)
  const prompt = nanoseconds(done.prefillSeconds)
  const decode = nanoseconds(done.decodeSeconds)
  const elapsed = Number(process.hrtime.bigint() - startedAtNs)
  return {
    done: true,
    done_reason: done.finishReason,
    total_duration: Math.max(elapsed, load + prompt + decode),
    load_duration: load,
    prompt_eval_count: done.promptTokens,
    prompt_eval_duration: prompt,
    eval_count: done.completionTokens,
    eval_duration: decode,
    energy: energyBill(done.energy, done),
  }
}

const nanoseconds = (seconds: number): number => Math.max(1, Math.round(seconds * 1e9))

/**
 * An empty request asks to load the model, or with keep_alive 0 to unload it. The one model is resident for as long as the
 * daemon runs, so both are acknowledged and neither does anything.
 */
export const idleReason = (keepAlive: KeepAlive): 'load' | 'unload' =>
  keepAlive !== undefined && keepAlive !== null && /^0+(ns|us|µs|ms|s|m|h)?$/.test(String(keepAlive))
    ? 'unload'
    : 'load'

/** Python before 3.11 cannot read a trailing Z, and Open WebUI reads these with it. */
export const isoOffset = (date: Date): string => date.toISOString().replace('Z', '+00:00')

/** The model as it stands in the lists of `/api/tags` and `/api/ps`. */
export function ollamaListing(model: InstalledModel): object {
  return {
    name: `${model.id}:latest`,
    model: `${model.id}:latest`,
    modified_at: isoOffset(model.modifiedAt),
    size: model.bytes,
    digest: model.digest,
    details: ollamaDetails(model),
  }
}

export function ollamaDetails({ manifest }: InstalledModel): object {
  const { weights } = manifest.quantisation
  return {
    parent_model: '',
    format: 'onnx',
    family: manifest.shape.family,
    families: [manifest.shape.family],
    parameter_size: parameterSize(manifest.shape.parameters),
    quantization_level: weights === 'none' ? manifest.dtype.replace('float', 'F') : weights.toUpperCase(),
  }
}

function parameterSize(parameters: number): string {
  if (parameters >= 1e9) return `${(parameters / 1e9).toFixed(1)}B`
  if (parameters >= 1e6) return `${(parameters / 1e6).toFixed(1)}M`
  return `${(parameters / 1e3).toFixed(1)}K`
}
