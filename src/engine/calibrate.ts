import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scalesFile } from '../models/draw.ts'
import { type Manifest, manifestFile } from '../models/manifest.ts'
import { hashFile, openPackage } from '../models/package.ts'
import { type Model, openModel, type Room, type Sequence } from './model.ts'
import { tidy } from './ort/allocator.ts'
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
  const [first, second] = [ids.slice(0, half), ids.slice(half)]
  const vocabulary = manifest.shape.vocab_size
  const expected = new Float32Array(second.length * vocabulary)
  withSequence(openModel(ort, dir, manifest, threads, { ...alone, kv: 'float32' }), (run, sequence) => {
    run(first)
    writeFileSync(file, scalesFor(sequence.magnitudes(), manifest))
    run(second, (logits, from) => expected.set(logits, from * vocabulary))
  })
  tidy()
  const calibrated = { ...manifest, kv_scales: scalesFile, files: { ...manifest.files, [scalesFile]: hashFile(file) } }
  let total = 0
  withSequence(openModel(ort, dir, calibrated, threads, alone), (run) => {
    run(first)
    run(second, (logits, from) => {
      total += divergence(expected.subarray(from * vocabulary), logits, vocabulary)
    })
  })
  const kl = total / second.length
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

/** One model after the other: they share their memory. */
const alone = { slots: 1, prepack: 'never', sharedArena: true } as const

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

/** Runs tokens after those before; told the logits of each piece and how many tokens came before it. */
type Run = (ids: readonly number[], each?: (logits: Float32Array, from: number) => void) => void

/** Runs tokens at the full level, a piece at a time, because intermediate results grow with the piece. Nothing is left of the model afterwards. */
function withSequence(model: Model, use: (run: Run, sequence: Sequence) => void): void {
  const sequence = model.newSequence()
  const logits = new Float32Array(piece * model.manifest.shape.vocab_size)
  const room: Room = (floats) => logits.subarray(0, floats)
  use((ids, each) => {
    for (let from = 0; from < ids.length; from += piece) {
      const tokens = ids.slice(from, from + piece)
      const found = sequence.run(tokens, model.levels - 1, each ? 0 : tokens.length - 1, room)
      each?.(found, from)
    }
  }, sequence)
  model.close()
}

const piece = 64

/** Σ KL(p ‖ q) in nats over the rows of logits in q. */
function divergence(p: Float32Array, q: Float32Array, vocabulary: number): number {
  let kl = 0
  for (let at = 0; at < q.length; at += vocabulary) {
    const [sumP, sumQ] = [p, q].map((all) => logSum(all.subarray(at, at + vocabulary)))
    for (let i = at; i < at + vocabulary; i++) kl += Math.exp(p[i] - sumP) * (p[i] - sumP - (q[i] - sumQ))
  }
  return kl
}
