import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scalesFile } from '../models/draw.ts'
import { type Manifest, manifestFile } from '../models/manifest.ts'
import { hashFile, openPackage } from '../models/package.ts'
import { openModel } from './model.ts'
import type { Ort } from './ort/api.ts'
import { logSum } from './sampler.ts'
import { openTokenizer } from './tokenizer.ts'

export interface KvCalibration {
  /** Mean Kullback-Leibler divergence in nats of the next token, int8 keys and values against float32, on the second half. */
  readonly kl: number
  readonly kept: boolean
}

/** Above this, rounding keys and values would show; a greedy answer still changes at most where two tokens nearly tie. */
const acceptedKl = 0.005

/** Room above the largest magnitude seen, for text that was not. */
const headroom = 1.25

/** Read when the package brings no text of its own, or little: plain English with figures, names and marks. */
const filler =
  'On Monday 12 March the technician checked the pump in hall 3: it ran at 1,450 rpm and drew 7.2 kW. "Is that usual?" asked ' +
  'Maria, who had come by train from Lyon. He shook his head. The valve had been replaced twice since 2019, and yet the pressure ' +
  'fell whenever the second compressor started; so they wrote it down, sent the order (no. 48-1177) and went to lunch. '

/**
 * Finds the scales of int8 keys and values from what the model computes for some text, and keeps them in the package if the
 * next-token distribution stays within `acceptedKl` of float32's on other text. The manifest is replaced last. `text` is
 * what the model is used for, where that is known.
 */
export function calibrateKv(ort: Ort, dir: string, threads: number, text: readonly number[] = []): KvCalibration {
  const { manifest } = openPackage(dir)
  const ids = calibrationIds(dir, manifest, text)
  const half = Math.ceil(ids.length / 2)
  const file = join(dir, scalesFile)
  const exact = openModel(ort, dir, manifest, threads, { slots: 1, kv: 'float32', prepack: 'never' })
  const sequence = exact.newSequence()
  sequence.run(ids.slice(0, half), exact.levels - 1, half - 1)
  writeFileSync(file, scalesFor(sequence.magnitudes(), manifest))
  const expected = distributions(exact.manifest, sequence.run(ids.slice(half), exact.levels - 1, 0))
  exact.close()
  const calibrated = { ...manifest, kv_scales: scalesFile, files: { ...manifest.files, [scalesFile]: hashFile(file) } }
  const rounded = openModel(ort, dir, calibrated, threads, { slots: 1, prepack: 'never' })
  const other = rounded.newSequence()
  other.run(ids.slice(0, half), rounded.levels - 1, half - 1)
  const found = distributions(manifest, other.run(ids.slice(half), rounded.levels - 1, 0))
  rounded.close()
  const kl = expected.reduce((sum, row, i) => sum + divergence(row, found[i]), 0) / expected.length
  const kept = kl <= acceptedKl
  if (kept) {
    const next = join(dir, `.${manifestFile}.new`)
    writeFileSync(next, `${JSON.stringify(calibrated, null, 2)}\n`, { flush: true })
    renameSync(next, join(dir, manifestFile))
  } else rmSync(file)
  return { kl, kept }
}

function calibrationIds(dir: string, manifest: Manifest, text: readonly number[]): readonly number[] {
  const wanted = Math.min(512, manifest.shape.context_tokens)
  if (text.length >= wanted) return text.slice(0, wanted)
  const tokenizer = openTokenizer(dir)
  const own = [manifest.default_system_prompt ?? '', ...manifest.sample_questions].join('\n')
  const ids = [manifest.bos_token_id, ...tokenizer.encode(own)]
  while (ids.length < wanted) ids.push(...tokenizer.encode(filler))
  return ids.slice(0, wanted)
}

/** One step of every channel: its largest magnitude, with headroom, is 127 steps. */
function scalesFor(magnitudes: Float32Array, { shape }: Manifest): Float32Array {
  const channels = shape.kv_heads * shape.cache_head_size
  const half = shape.cache_head_size / 2
  return magnitudes.map((largest, i) => {
    const isKey = Math.floor(i / channels) % 2 === 0
    // Rotation moves a key's magnitude between the two channels of a pair as positions go on.
    const partner = i % shape.cache_head_size < half ? i + half : i - half
    const bound = isKey ? Math.hypot(largest, magnitudes[partner]) : largest
    return Math.max((bound * headroom) / 127, 1e-8)
  })
}

function distributions({ shape }: Manifest, logits: Float32Array): Float64Array[] {
  return Array.from({ length: logits.length / shape.vocab_size }, (_, i) =>
    logSoftmax(logits.subarray(i * shape.vocab_size, (i + 1) * shape.vocab_size)),
  )
}

const divergence = (p: Float64Array, q: Float64Array): number =>
  p.reduce((sum, logP, i) => sum + Math.exp(logP) * (logP - q[i]), 0)

function logSoftmax(logits: Float32Array): Float64Array {
  const sum = logSum(logits)
  return Float64Array.from(logits, (value) => value - sum)
}
