import { join } from 'node:path'
import type { Manifest } from '../models/manifest.ts'
import { names } from '../models/onnx/llama.ts'
import type { Ort } from './ort/api.ts'
import { type Binding, openSession, type Session, type Tensor } from './ort/session.ts'

/** One sequence's keys and values, written in place by the graph, and how many positions of them are valid. */
export interface Sequence {
  readonly length: number
  /**
   * Runs `ids` after the tokens already in the cache, at `level`, and returns the logits of the positions from
   * `logitsFrom` (counted within `ids`) on, [positions, vocabulary]. The array is reused by the next run.
   */
  run(ids: readonly number[], level: number, logitsFrom: number): Float32Array
  /** Forgets all positions from `length` on. */
  truncate(length: number): void
  close(): void
}

export interface Model {
  readonly manifest: Manifest
  readonly levels: number
  /** Positions one sequence can hold. */
  readonly contextTokens: number
  /** Bytes of KV cache one sequence takes. */
  readonly kvBytes: number
  newSequence(contextTokens?: number): Sequence
  close(): void
}

/** Loads a package's graph. `threads` is the number of threads of one run. */
export function openModel(ort: Ort, dir: string, manifest: Manifest, threads: number): Model {
  const session = openSession(ort, join(dir, 'model.onnx'), threads)
  const { shape } = manifest
  const slotFloats = shape.kv_heads * shape.cache_head_size
  const levels = manifest.levels.length
  return {
    manifest,
    levels,
    contextTokens: shape.context_tokens,
    kvBytes: 2 * shape.layers * slotFloats * shape.context_tokens * 4,
    newSequence: (contextTokens = shape.context_tokens) => newSequence(session, manifest, contextTokens),
    close: () => session.close(),
  }
}

/** A binding for runs of one size: the same tensors every time, only their contents change. */
interface Step {
  readonly binding: Binding
  readonly ids: BigInt64Array
  readonly logits: Float32Array
  readonly own: readonly Tensor[]
}

function newSequence(session: Session, { shape, levels }: Manifest, contextTokens: number): Sequence {
  const cacheShape = [1, shape.kv_heads, contextTokens, shape.cache_head_size]
  const cacheSize = cacheShape.reduce((a, b) => a * b, 1)
  const caches = Array.from({ length: shape.layers }, (_, layer) =>
    (['key', 'value'] as const).map((part) => ({
      past: names.past(layer, part),
      present: names.present(layer, part),
      // Untouched pages of a fresh buffer cost no memory, so a long context is paid for as it is used.
      tensor: session.tensor('float32', cacheShape, new Float32Array(cacheSize)),
    })),
  ).flat()
  const pastLength = session.tensor('int32', [1], new Int32Array(1))
  const totalLength = session.tensor('int32', [1], new Int32Array(1))
  const from = session.tensor('int64', [1], new BigInt64Array(1))
  const gates = levels.slice(1).map(() => session.tensor('bool', [], new Uint8Array(1)))
  let length = 0

  const prepare = (tokens: number, wanted: number): Step => {
    const ids = new BigInt64Array(tokens)
    const logits = new Float32Array(wanted * shape.vocab_size)
    const idsTensor = session.tensor('int64', [1, tokens], ids)
    const logitsTensor = session.tensor('float32', [1, wanted, shape.vocab_size], logits)
    const binding = session.bind()
    binding.input(names.ids, idsTensor)
    binding.input(names.pastLength, pastLength)
    binding.input(names.totalLength, totalLength)
    binding.input(names.logitsFrom, from)
    for (const [i, gate] of gates.entries()) binding.input(names.gate(i + 1), gate)
    for (const { past, present, tensor } of caches) {
      binding.input(past, tensor)
      binding.output(present, tensor)
    }
    binding.output(names.logits, logitsTensor)
    return { binding, ids, logits, own: [idsTensor, logitsTensor] }
  }
  const discard = ({ binding, own }: Step): void => {
    binding.close()
    for (const tensor of own) session.releaseTensor(tensor)
  }
  const decode = prepare(1, 1)

  return {
    get length() {
      return length
    },
    run(ids, level, logitsFrom) {
      const single = ids.length === 1
      const step = single ? decode : prepare(ids.length, ids.length - logitsFrom)
      for (const [i, id] of ids.entries()) step.ids[i] = BigInt(id)
      pastLength.data[0] = length + ids.length - 1
      totalLength.data[0] = length + ids.length
      from.data[0] = BigInt(logitsFrom)
      for (const [i, gate] of gates.entries()) gate.data[0] = level >= i + 1 ? 1 : 0
      step.binding.run()
      length += ids.length
      if (!single) discard(step)
      return step.logits
    },
    truncate(to) {
      length = Math.min(length, to)
    },
    close() {
      discard(decode)
      for (const { tensor } of caches) session.releaseTensor(tensor)
      for (const tensor of [pastLength, totalLength, from, ...gates]) session.releaseTensor(tensor)
    },
  }
}
