import { DeapdError } from '../errors.ts'
import type { Manifest } from '../models/manifest.ts'
import { type KvType, names } from '../models/onnx/interface.ts'
import { createKvCache, spansOver } from './kv-cache.ts'
import { type GraphOptions, openGraph } from './open-graph.ts'
import type { Ort } from './ort/api.ts'
import type { Binding, Tensor } from './ort/session.ts'
import { inPieces, prove } from './prove.ts'

/** One sequence's place in the cache, and how many positions of it are valid. */
export interface Sequence {
  /** Its index on the cache's batch axis. Neighbouring slots decode together best. */
  readonly slot: number
  readonly length: number
  /**
   * Runs `ids` after the tokens already in the cache, at `level` (in several runs where the provider needs it), and returns the
   * logits of the positions from `logitsFrom` (counted within `ids`) on, [positions, vocabulary]. The array is reused by the
   * next run. `room` gives the memory of the logits of several tokens, for those who run so many that its garbage would count.
   */
  run(ids: readonly number[], level: number, logitsFrom: number, room?: Room): Float32Array
  /** Forgets all positions from `length` on: a rejected draft, or what a new prompt does not share with the old one. */
  truncate(length: number): void
  /** Makes up `count` more positions, for timing with a full cache: they are read like any others and mean nothing. */
  fill(count: number): void
  /** Takes over the first `tokens` positions of another sequence and forgets its own. */
  copyFrom(source: Sequence, tokens: number): void
  /** Largest magnitude of each key and value channel so far, [layers, 2, KV heads · head size]. */
  magnitudes(): Float32Array
  /** Gives the slot back. */
  close(): void
}

/** Memory for so many logits. */
export type Room = (floats: number) => Float32Array

const ownRoom: Room = (floats) => new Float32Array(floats)

export interface Model {
  readonly manifest: Manifest
  readonly levels: number
  /** Who runs the graph, and how much of it. */
  readonly provider: string
  /** How the weights are read, and by whose products. */
  readonly weights: string
  /** How keys and values are kept. */
  readonly kvType: KvType
  /** Positions one sequence can hold. */
  readonly contextTokens: number
  /** Sequences that can be open at the same time. */
  readonly slots: number
  /** Whether `copyFrom` works: not with a cache in a device's own memory. */
  readonly copiesCache: boolean
  /** Bytes of KV cache one sequence takes when it is full. */
  readonly kvBytes: number
  /** A sequence in the lowest free slot; throws `engine_failed` when all are taken. */
  newSequence(): Sequence
  /**
   * One token for each of several sequences in one run: `ids[i]` is appended to `sequences[i]`. Returns one row of logits
   * per sequence, [vocabulary], valid until the next run. The weights are read once for all of them.
   */
  decodeBatch(sequences: readonly Sequence[], ids: readonly number[], level: number): readonly Float32Array[]
  close(): void
}

/** Four answers at once, and one cache for scoring and benchmarks beside them. */
export const defaultSlots = 5

export interface ModelOptions extends GraphOptions {
  readonly slots?: number
}

/**
 * Loads a package's graph. `threads` is the number of threads of one run. A provider other than the CPU is proven
 * (prove.ts): throws `provider_fallback` when operators that hold the work ran elsewhere, `provider_missing` or `provider_dtype`.
 */
export function openModel(
  ort: Ort,
  dir: string,
  manifest: Manifest,
  threads: number,
  { slots = defaultSlots, ...options }: ModelOptions = {},
): Model {
  const { provider, session, refused, kv, weights } = openGraph(ort, dir, manifest, threads, options)
  const { shape, levels } = manifest
  const contextTokens = shape.context_tokens
  const cache = createKvCache(session, manifest, slots, contextTokens, kv)
  const from = session.tensor('int64', [1], new BigInt64Array(1))
  const totalLength = session.tensor('int32', [1], new Int32Array(1))
  const gates = levels.slice(1).map(() => session.tensor('int64', [1], new BigInt64Array(1)))
  /** Valid positions per slot; what a closed sequence leaves behind is not cleared. */
  const lengths = new Int32Array(slots)
  const taken = new Set<number>()

  /** A binding for runs of one size over `count` slots: the same tensors every time, only their contents change. */
  const prepare = (firstSlot: number, count: number, tokens: number, wanted: number, room = ownRoom): Step => {
    const ids = new BigInt64Array(count * tokens)
    const pastLengths = new Int32Array(count)
    const logits = room(count * wanted * shape.vocab_size)
    const own = {
      ids: session.tensor('int64', [count, tokens], ids),
      pastLengths: session.tensor('int32', [count], pastLengths),
      logits: session.tensor('float32', [count, wanted, shape.vocab_size], logits),
    }
    const binding = session.bind()
    binding.input(names.ids, own.ids)
    binding.input(names.pastLength, own.pastLengths)
    binding.input(names.totalLength, totalLength)
    binding.input(names.logitsFrom, from)
    for (const [i, gate] of gates.entries()) binding.input(names.gate(i + 1), gate)
    for (const { name, tensor } of cache.scales) binding.input(name, tensor)
    for (const { past, present, tensor } of cache.view(firstSlot, count)) {
      binding.input(past, tensor)
      binding.output(present, tensor)
    }
    binding.output(names.logits, own.logits)
    return { binding, ids, pastLengths, logits, own: Object.values(own) }
  }
  const discard = ({ binding, own }: Step): void => {
    binding.close()
    for (const tensor of own) session.releaseTensor(tensor)
  }
  const decodeSteps = new Map<string, Step>()
  const decodeStep = (firstSlot: number, count: number): Step => {
    const key = `${firstSlot}+${count}`
    const step = decodeSteps.get(key) ?? prepare(firstSlot, count, 1, 1)
    decodeSteps.set(key, step)
    return step
  }

  /** Runs a prepared step over `count` slots from `firstSlot` on; `ids` are [count, tokens], already in the step. */
  const run = (step: Step, firstSlot: number, tokens: number, level: number, logitsFrom: number): void => {
    for (const i of step.pastLengths.keys()) step.pastLengths[i] = lengths[firstSlot + i] + tokens - 1
    totalLength.data[0] = Math.max(...step.pastLengths) + 1
    from.data[0] = BigInt(logitsFrom)
    for (const [i, gate] of gates.entries()) gate.data[0] = level >= i + 1 ? 1n : 0n
    step.binding.run()
  }

  let widestRun = Number.POSITIVE_INFINITY
  const newSequence = (): Sequence => {
    const slot = Array.from({ length: slots }, (_, i) => i).find((i) => !taken.has(i))
    if (slot === undefined) throw new DeapdError('engine_failed', { detail: `all ${slots} caches are taken` })
    taken.add(slot)
    lengths[slot] = 0
    const runWhole = (ids: readonly number[], level: number, logitsFrom: number, room?: Room): Float32Array => {
      const single = ids.length === 1
      const step = single ? decodeStep(slot, 1) : prepare(slot, 1, ids.length, ids.length - logitsFrom, room)
      for (const [i, id] of ids.entries()) step.ids[i] = BigInt(id)
      run(step, slot, ids.length, level, logitsFrom)
      lengths[slot] += ids.length
      if (!single) discard(step)
      return step.logits
    }
    return {
      slot,
      get length() {
        return lengths[slot]
      },
      run: (ids, level, logitsFrom, room) =>
        ids.length <= widestRun
          ? runWhole(ids, level, logitsFrom, room)
          : inPieces(ids, widestRun, logitsFrom, (piece, from) => runWhole(piece, level, from), room),
      truncate(to) {
        lengths[slot] = Math.min(lengths[slot], to)
      },
      fill(count) {
        cache.fill(slot, lengths[slot], lengths[slot] + count)
        lengths[slot] += count
      },
      copyFrom(source, tokens) {
        if (!cache.copy) throw new DeapdError('engine_failed', { detail: `the cache of ${provider} cannot be copied` })
        cache.copy(source.slot, slot, tokens)
        lengths[slot] = tokens
      },
      magnitudes: () => cache.magnitudes(slot, lengths[slot]),
      close: () => {
        taken.delete(slot)
      },
    }
  }

  const probe = newSequence()
  const proof = prove(provider, session, probe, levels.length - 1, contextTokens)
  probe.close()
  widestRun = proof.widestRun

  return {
    manifest,
    levels: levels.length,
    provider: proof.description + (refused ? `; not cuda: ${refused}` : ''),
    weights,
    kvType: kv.type,
    contextTokens,
    slots,
    copiesCache: cache.copy !== null,
    kvBytes: cache.bytesPerSlot,
    newSequence,
    decodeBatch(sequences, ids, level) {
      const rows: Float32Array[] = []
      const place = new Map(sequences.map(({ slot }, i) => [slot, i]))
      for (const span of spansOver([...place.keys()], (slot) => lengths[slot] >= contextTokens, cache.widest)) {
        const step = decodeStep(span.from, span.count)
        for (let i = 0; i < span.count; i++) step.ids[i] = BigInt(ids[place.get(span.from + i) ?? 0])
        run(step, span.from, 1, level, 0)
        for (let i = 0; i < span.count; i++) {
          const at = place.get(span.from + i)
          if (at === undefined) continue
          lengths[span.from + i]++
          rows[at] = step.logits.subarray(i * shape.vocab_size, (i + 1) * shape.vocab_size)
        }
      }
      return rows
    },
    close() {
      for (const step of decodeSteps.values()) discard(step)
      cache.close()
      for (const tensor of [from, totalLength, ...gates]) session.releaseTensor(tensor)
      session.close()
    },
  }
}

interface Step {
  readonly binding: Binding
  readonly ids: BigInt64Array
  readonly pastLengths: Int32Array
  readonly logits: Float32Array
  readonly own: readonly Tensor[]
}
