import { DeapdError } from '../errors.ts'
import type { Room, Sequence } from './model.ts'
import { describePlacement } from './ort/placement.ts'
import type { ProviderName } from './ort/providers.ts'
import type { Session } from './ort/session.ts'
import { defaultPrefillChunk } from './protocol.ts'

/** What a provider has shown to do. */
export interface Proof {
  /** Who runs the graph, and how much of it. */
  readonly description: string
  /** Tokens that it may be given in one run. */
  readonly widestRun: number
}

/** Nothing longer than an ordinary piece of a prompt is tried, and so nothing longer is run; the CPU has no such limit. */
const mostTokens = defaultPrefillChunk

/**
 * Runs that compute the same differ by rounding: their worst row by 0.3 % at most in float16, here and in what we tried (root
 * mean square over the spread of the row's logits). Attention that loses keys makes it 4 to 70 %.
 */
const rounding = 0.01

/**
 * A provider is proven, not assumed: one token at the full level shows where its kernels run, and pieces of a prompt whether
 * its kernels for many tokens compute what those for few do. (The WebGPU attention of ONNX Runtime 1.30 does not, from 32
 * tokens on, on devices with small subgroups.) The CPU's kernels are held against a reference in our tests instead.
 */
export function prove(
  provider: ProviderName,
  session: Session,
  sequence: Sequence,
  level: number,
  contextTokens: number,
): Proof {
  if (provider === 'cpu') return { description: provider, widestRun: Number.POSITIVE_INFINITY }
  if (!sequence.run([0], level, 0).every(Number.isFinite)) {
    throw new DeapdError('engine_failed', { detail: `${provider} computes no numbers from this package` })
  }
  const placement = describePlacement(session.placement(), provider)
  const most = Math.min(mostTokens, contextTokens)
  const widestRun = widestTrueRun(sequence, level, most)
  if (2 * widestRun > most) return { description: placement, widestRun }
  return { description: `${placement}; ${widestRun} tokens a run, because more came out otherwise`, widestRun }
}

/**
 * The most tokens, a power of two up to `most`, that one run computes as two runs of half as many do, whose halves are compared
 * the same way, down to single tokens. Leaves the sequence empty.
 */
export function widestTrueRun(sequence: Sequence, level: number, most = mostTokens): number {
  const vocabulary = sequence.run([0], level, 0).length
  const ids = Array.from({ length: most }, (_, i) => (i * 7919 + 3) % vocabulary)
  const logitsOf = (width: number, total: number): Float32Array => {
    sequence.truncate(0)
    return inPieces(ids.slice(0, total), width, 0, (piece) => sequence.run(piece, level, 0))
  }
  const holds = (width: number): boolean =>
    difference(logitsOf(width / 2, width), logitsOf(width, width), vocabulary) <= rounding
  let width = 1
  while (2 * width <= most && holds(2 * width)) width *= 2
  sequence.truncate(0)
  return width
}

/**
 * Root mean square of what rows of logits differ by, over that of how far they are from their mean, of the worst row; NaN where
 * one is in them.
 */
function difference(one: Float32Array, other: Float32Array, vocabulary: number): number {
  const rows = Array.from({ length: one.length / vocabulary }, (_, row) => {
    const [a, b] = [one, other].map((all) => all.subarray(row * vocabulary, (row + 1) * vocabulary))
    const mean = a.reduce((sum, value) => sum + value, 0) / vocabulary
    const spread = a.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / spread)
  })
  return Math.max(...rows)
}

/** Runs `ids` in pieces of at most `width` tokens; returns what one run would: the logits from position `logitsFrom` on. */
export function inPieces(
  ids: readonly number[],
  width: number,
  logitsFrom: number,
  run: (piece: readonly number[], logitsFrom: number) => Float32Array,
  room: Room = (floats) => new Float32Array(floats),
): Float32Array {
  const wanted = ids.length - logitsFrom
  let rows: Float32Array | undefined
  for (let at = 0; at < ids.length; at += width) {
    const piece = ids.slice(at, at + width)
    // A piece before the wanted positions has to decide something too: its last position, which nobody reads.
    const first = Math.min(Math.max(0, logitsFrom - at), piece.length - 1)
    const logits = run(piece, first)
    if (at + first < logitsFrom) continue
    const vocabulary = logits.length / (piece.length - first)
    rows ??= room(wanted * vocabulary)
    rows.set(logits, (at + first - logitsFrom) * vocabulary)
  }
  return rows ?? new Float32Array()
}
