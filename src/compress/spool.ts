import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { LlamaShape } from '../models/source/config.ts'
import { readFully } from '../models/source/tensors.ts'
import type { Sample } from './text.ts'

/**
 * What the full network left of every sample, on disk: the keys and values of each layer, token by token, and the
 * log-probabilities of every token of a range. Memory then holds one sample's, however many there are.
 */
export interface Spool {
  writeKeys(sample: number, layer: number, keys: Float32Array, values: Float32Array): void
  /** Keys and values of the first `tokens` tokens, as many as some range begins after: [tokens, KV heads, head size] each; overwritten by the next call. */
  readKeys(
    sample: number,
    layer: number,
    tokens: number,
  ): { readonly keys: Float32Array; readonly values: Float32Array }
  writeReference(sample: number, range: number, logProbabilities: Float32Array): void
  /** [tokens, vocabulary]; overwritten by the next call. */
  readReference(sample: number, range: number): Float32Array
  close(): void
}

export function openSpool(
  folder: string,
  { layers, kvHeads, headSize, vocabSize }: LlamaShape,
  samples: readonly Sample[],
): Spool {
  const width = kvHeads * headSize
  const keyFile = openSync(join(folder, 'keys.f32'), openFlags)
  const referenceFile = openSync(join(folder, 'reference.f32'), openFlags)
  const ranges = samples.flatMap((sample) => sample.ranges)
  const starts = running(samples.map(({ ids }) => ids.length * layers * 2 * width))
  const references = running(ranges.map(({ from, to }) => (to - from) * vocabSize))
  const firstRange = running(samples.map(({ ranges }) => ranges.length))
  const mostBefore = ranges.reduce((most, { from }) => Math.max(most, from), 0)
  const longest = ranges.reduce((most, { from, to }) => Math.max(most, to - from), 0)
  const [keys, values] = [new Float32Array(mostBefore * width), new Float32Array(mostBefore * width)]
  const reference = new Float32Array(longest * vocabSize)
  const place = (sample: number, layer: number): number =>
    starts[sample] + layer * 2 * width * samples[sample].ids.length
  return {
    writeKeys(sample, layer, newKeys, newValues) {
      write(keyFile, newKeys, place(sample, layer))
      write(keyFile, newValues, place(sample, layer) + newKeys.length)
    },
    readKeys(sample, layer, tokens) {
      const length = tokens * width
      const at = place(sample, layer)
      return {
        keys: read(keyFile, keys.subarray(0, length), at),
        values: read(keyFile, values.subarray(0, length), at + width * samples[sample].ids.length),
      }
    },
    writeReference: (sample, range, logs) => write(referenceFile, logs, references[firstRange[sample] + range]),
    readReference(sample, range) {
      const { from, to } = samples[sample].ranges[range]
      const logs = reference.subarray(0, (to - from) * vocabSize)
      return read(referenceFile, logs, references[firstRange[sample] + range])
    },
    close() {
      closeSync(keyFile)
      closeSync(referenceFile)
    },
  }
}

/** For reading and writing, made if it is not there, kept if it is. */
const openFlags = constants.O_RDWR | constants.O_CREAT

/** The sum of all before each. */
function running(sizes: readonly number[]): Float64Array {
  const sums = new Float64Array(sizes.length)
  for (let i = 1; i < sizes.length; i++) sums[i] = sums[i - 1] + sizes[i - 1]
  return sums
}

const bytesOf = (data: Float32Array): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength)

function write(fd: number, data: Float32Array, at: number): void {
  const bytes = bytesOf(data)
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, 4 * at + done)
}

function read(fd: number, into: Float32Array, at: number): Float32Array {
  readFully(fd, bytesOf(into), 4 * at)
  return into
}
