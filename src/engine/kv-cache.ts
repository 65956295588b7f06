import { toHalf } from '../models/half.ts'
import type { Manifest } from '../models/manifest.ts'
import { cacheParts, type KvType, names } from '../models/onnx/interface.ts'
import type { Bound, Session } from './ort/session.ts'

/** A layer's keys or values for neighbouring slots, bound as past and as present: the graph appends in place. */
export interface CacheView {
  readonly past: string
  readonly present: string
  readonly tensor: Bound
}

/**
 * Keys and values of all sequences: per layer and part one buffer [slots, KV heads, context, head]. The slot is the batch
 * axis, so neighbouring slots are one tensor at an offset. Pages nobody has written cost no memory.
 */
export interface KvCache {
  readonly slots: number
  /** Neighbouring slots that one run can take. */
  readonly widest: number
  readonly bytesPerSlot: number
  /** Inputs that never change: the scales of int8 keys and values. */
  readonly scales: readonly { readonly name: string; readonly tensor: Bound }[]
  /** Views of the slots [from, from + count), made once. */
  view(from: number, count: number): readonly CacheView[]
  /** Writes made-up values to the positions [from, to) of a slot; on a device, what is there stays. */
  fill(slot: number, from: number, to: number): void
  /** Copies the first `tokens` positions of one slot over those of another; null where the memory is out of our reach. */
  readonly copy: ((from: number, to: number, tokens: number) => void) | null
  /** Largest magnitude of each channel over the first `length` positions of a slot, [layers, 2, KV heads · head]. */
  magnitudes(slot: number, length: number): Float32Array
  close(): void
}

export interface KvForm {
  readonly type: KvType
  /** What one step stands for, [layers, 2, KV heads · head]; only with int8. */
  readonly scales: Float32Array | null
}

const arrays = { float32: Float32Array, float16: Uint16Array, int8: Int8Array } as const

/** A number from −1 to 1 as a likely entry of the cache, in its own encoding. */
const made: Readonly<Record<KvType, (value: number) => number>> = {
  float32: (value) => value / 2,
  float16: (value) => toHalf(value / 2),
  int8: (value) => 100 * value,
}

/** Bytes of keys and values that one position of a package takes. */
export const kvBytesPerToken = ({ shape, kv_scales, dtype }: Manifest): number =>
  2 *
  shape.layers *
  shape.kv_heads *
  shape.cache_head_size *
  arrays[kv_scales === undefined ? dtype : 'int8'].BYTES_PER_ELEMENT

export function createKvCache(
  session: Session,
  { shape }: Manifest,
  slots: number,
  contextTokens: number,
  { type, scales }: KvForm,
): KvCache {
  const { deviceTensor } = session
  const perSlot = [shape.kv_heads, contextTokens, shape.cache_head_size]
  const slotSize = perSlot.reduce((a, b) => a * b, 1)
  const channels = shape.kv_heads * shape.cache_head_size
  const parts = Array.from({ length: shape.layers }, (_, layer) =>
    cacheParts.map((part) => ({
      past: names.past(layer, part),
      present: names.present(layer, part),
      scale: names.scale(layer, part),
    })),
  ).flat()
  const buffers = deviceTensor ? [] : allocate(type, parts.length, slots * slotSize)
  const views = new Map<string, readonly CacheView[]>()
  // Device memory is a handle, not an address: a tensor cannot begin in the middle of it, so there each slot has its own.
  const tensor = (part: number, from: number, count: number): Bound =>
    deviceTensor
      ? deviceTensor(type, [count, ...perSlot])
      : session.tensor(type, [count, ...perSlot], buffers[part].subarray(from * slotSize, (from + count) * slotSize))
  const create = (from: number, count: number): readonly CacheView[] =>
    parts.map(({ past, present }, index) => ({ past, present, tensor: tensor(index, from, count) }))
  const copy = (from: number, to: number, tokens: number): void => {
    const headSize = contextTokens * shape.cache_head_size
    for (const buffer of buffers) {
      for (let head = 0; head < shape.kv_heads; head++) {
        const start = from * slotSize + head * headSize
        buffer.copyWithin(to * slotSize + head * headSize, start, start + tokens * shape.cache_head_size)
      }
    }
  }
  const scaleTensors = scales
    ? parts.map(({ scale }, i) => ({
        name: scale,
        tensor: session.tensor('float32', [channels], scales.slice(i * channels, (i + 1) * channels)),
      }))
    : []
  return {
    slots,
    widest: deviceTensor ? 1 : slots,
    bytesPerSlot: parts.length * slotSize * arrays[type].BYTES_PER_ELEMENT,
    scales: scaleTensors,
    view(from, count) {
      const key = `${from}+${count}`
      const found = views.get(key) ?? create(from, count)
      views.set(key, found)
      return found
    },
    fill(slot, from, to) {
      const noise = Array.from({ length: shape.cache_head_size }, (_, i) => made[type](Math.sin(7919 * i)))
      for (const data of buffers) {
        for (let head = 0; head < shape.kv_heads; head++) {
          const start = (slot * shape.kv_heads + head) * contextTokens
          for (let at = start + from; at < start + to; at++) data.set(noise, at * noise.length)
        }
      }
    },
    copy: deviceTensor ? null : copy,
    magnitudes(slot, length) {
      const size = shape.cache_head_size
      const largest = new Float32Array(parts.length * channels)
      for (const [part, data] of buffers.entries()) {
        for (let head = 0; head < shape.kv_heads; head++) {
          const start = (slot * shape.kv_heads + head) * contextTokens * size
          const into = part * channels + head * size
          for (let i = 0; i < length * size; i++) {
            const at = into + (i % size)
            largest[at] = Math.max(largest[at], Math.abs(data[start + i]))
          }
        }
      }
      return largest
    },
    close() {
      for (const { tensor } of [...[...views.values()].flat(), ...scaleTensors]) session.releaseTensor(tensor)
      views.clear()
    },
  }
}

/** Arrays of one size in one piece of memory: V8 collects all garbage at nearly every new piece of this size, 26 times in a 7B's start. */
function allocate(type: KvType, count: number, size: number) {
  const bytes = size * arrays[type].BYTES_PER_ELEMENT
  const memory = new ArrayBuffer(count * bytes)
  return Array.from({ length: count }, (_, i) => new arrays[type](memory, i * bytes, size))
}

/** A range of neighbouring slots, [from, from + count). */
export interface Span {
  readonly from: number
  readonly count: number
}

/**
 * The fewest spans that cover `wanted` slots. A span may hold others in between, which then run along and write one row
 * nobody reads; `blocked` slots have no room for such a row and part the spans. No span is wider than `widest`.
 */
export function spansOver(
  wanted: readonly number[],
  blocked: (slot: number) => boolean,
  widest = Number.POSITIVE_INFINITY,
): readonly Span[] {
  const spans: Span[] = []
  for (const slot of [...wanted].sort((a, b) => a - b)) {
    const last = spans[spans.length - 1]
    const end = last ? last.from + last.count : 0
    const between = last ? Array.from({ length: slot - end }, (_, i) => end + i) : []
    if (last && slot - last.from < widest && !between.some(blocked))
      spans[spans.length - 1] = { from: last.from, count: slot - last.from + 1 }
    else spans.push({ from: slot, count: 1 })
  }
  return spans
}
