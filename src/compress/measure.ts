import { openModel } from '../engine/model.ts'
import type { Ort } from '../engine/ort/api.ts'
import type { Manifest } from '../models/manifest.ts'
import { growing, type Place } from './passes.ts'
import type { Sample } from './text.ts'

/** What a level of a finished package made of each range of the texts. */
export interface LevelScore {
  /** Σ KL over the tokens of the range in nats. */
  readonly kl: Float64Array
  readonly right: Uint8Array
}

/**
 * Runs a package as the engine does, prompts at the full level and answers below it, and compares every level with the full
 * one. The first token of an answer is the full level's at every level.
 */
export function measurePackage(
  ort: Ort,
  folder: string,
  manifest: Manifest,
  threads: number,
  samples: readonly Sample[],
  places: readonly Place[],
): LevelScore[] {
  const options = { slots: 1, kv: manifest.dtype, prepack: 'never', sharedArena: true } as const
  const model = openModel(ort, folder, manifest, threads, options)
  const full = model.levels - 1
  const vocabulary = manifest.shape.vocab_size
  const scores = manifest.levels.map(() => ({
    kl: new Float64Array(places.length),
    right: new Uint8Array(places.length),
  }))
  const [ofFull, ofLevel] = [growing(), growing()]
  try {
    for (const [at, { sample, range }] of places.entries()) {
      const { ids, ranges } = samples[sample]
      const { from, to } = ranges[range]
      const sequence = model.newSequence()
      let last: Float32Array = new Float32Array(0)
      for (let start = 0; start < from; start += piece) {
        const read = ids.subarray(start, Math.min(from, start + piece))
        last = sequence.run([...read], full, read.length - 1, ofLevel)
      }
      const first = argmax(last)
      const tokens = [...ids.subarray(from, to)]
      const expected = sequence.run(tokens, full, 0, ofFull)
      for (let level = full; level >= 0; level--) {
        sequence.truncate(from)
        const logits = sequence.run(tokens, level, 0, ofLevel)
        let right = first === ids[from]
        for (let i = 0; i < tokens.length; i++) {
          const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary)
          scores[level].kl[at] += divergence(expected.subarray(i * vocabulary, (i + 1) * vocabulary), row)
          right &&= argmax(row) === ids[from + i + 1]
        }
        scores[level].right[at] = right ? 1 : 0
      }
      sequence.close()
    }
    return scores
  } finally {
    model.close()
  }
}

/** Tokens of a prompt that are read at a time: more need more memory, and hardly less time. */
const piece = 64

function argmax(row: Float32Array): number {
  let best = 0
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i
  return best
}

/** KL(p ‖ q) in nats of two rows of logits. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const [topP, topQ] = [p[argmax(p)], q[argmax(q)]]
  let [sumP, sumQ, cross] = [0, 0, 0]
  for (let i = 0; i < p.length; i++) {
    const weight = Math.exp(p[i] - topP)
    sumP += weight
    sumQ += Math.exp(q[i] - topQ)
    cross += weight * (p[i] - topP - (q[i] - topQ))
  }
  return cross / sumP - Math.log(sumP) + Math.log(sumQ)
}
