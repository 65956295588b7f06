import type { Ort } from '../engine/ort/api.ts'
import {
  drawCalibrationHead,
  drawCalibrationLayer,
  drawGroupErrors,
  type LayerGraph,
} from '../models/onnx/calibration.ts'
import type { LlamaShape } from '../models/source/config.ts'
import type { Groups } from './groups.ts'
import { openRunner, type Runner, type Values } from './sessions.ts'
import { causal, rotaryTables } from './tables.ts'
import type { LayerWeights } from './weights.ts'

/** Means that stand for what is dropped, of one layer: [KV heads, group] and [chunks, channels]. */
export interface LayerMeans {
  readonly heads: Float32Array
  readonly mlp: Float32Array
}

/** Sums over counted tokens, of one layer. */
export interface LayerSums {
  tokens: number
  readonly heads: GroupSums
  readonly mlp: GroupSums
}
export interface GroupSums {
  readonly groups: number
  readonly size: number
  /** Σ h, [groups, size]. */
  readonly sum: Float64Array
  /** Σ h hᵀ, [groups, size, size]. */
  readonly products: Float64Array
}

/** Tokens [variants, tokens] of one text, all at the same positions. */
export interface Rows {
  readonly variants: number
  readonly tokens: number
  readonly position: number
  readonly past: { readonly keys: Float32Array; readonly values: Float32Array } | null
  readonly masks: { readonly heads: Float32Array; readonly mlp: Float32Array }
  readonly means: LayerMeans
}

/** The calibration graphs of a model. */
export interface Network {
  /** Runs one layer over `hidden` [variants, tokens, hidden], which is replaced by the result. */
  layer(weights: LayerWeights, rows: Rows, hidden: Float32Array, more?: LayerExtras): void
  /** Log-probabilities [tokens, vocabulary] and likeliest tokens of one variant. */
  reference(head: HeadWeights, hidden: Float32Array, tokens: number): { logs: Float32Array; top: BigInt64Array }
  /** Divergence from `reference` and likeliest token, [variants, tokens]. */
  divergence(head: HeadWeights, hidden: Float32Array, tokens: number, reference: Float32Array): Divergence
  /** For each group tr(W Σ Wᵀ), the squared lengths of its columns of W and W μ. */
  errors(matrix: Float32Array, covariance: Float32Array, means: Float32Array, groups: number): GroupErrors
  close(): void
}

export interface LayerExtras {
  /** Gets keys and values of these tokens, [tokens, KV heads, head size]; of one variant only. */
  readonly keys?: (keys: Float32Array, values: Float32Array) => void
  /** Adds the tokens where `counted` is 1 to these sums. */
  readonly sums?: { readonly into: LayerSums; readonly counted: Float32Array }
}

export interface HeadWeights {
  readonly finalNorm: Float32Array
  readonly head: Float32Array
}
export interface Divergence {
  readonly kl: Float32Array
  readonly top: BigInt64Array
}
export interface GroupErrors {
  readonly errors: Float32Array
  readonly squares: Float32Array
  /** [groups, hidden] */
  readonly bias: Float32Array
}

export const emptySums = (groups: number, size: number): GroupSums => ({
  groups,
  size,
  sum: new Float64Array(groups * size),
  products: new Float64Array(groups * size * size),
})

export function openNetwork(ort: Ort, folder: string, shape: LlamaShape, groups: Groups, threads: number): Network {
  const { hiddenSize, vocabSize, heads, kvHeads, headSize, contextTokens } = shape
  const { chunks, chunkChannels } = groups
  const group = (heads / kvHeads) * headSize
  const runners = new Map<string, Runner>()
  const runner = (name: string, draw: () => Parameters<typeof openRunner>[3]): Runner => {
    const found = runners.get(name) ?? openRunner(ort, folder, name, draw(), threads)
    runners.set(name, found)
    return found
  }
  const layerRunner = (past: boolean, gives: LayerGraph['gives']): Runner =>
    runner(`layer ${past ? 'after' : 'alone'} ${gives}`, () =>
      drawCalibrationLayer({ shape, chunkChannels, chunks, past, gives }),
    )
  const head = runner('head', () => drawCalibrationHead(shape, true))
  const referenceHead = runner('head reference', () => drawCalibrationHead(shape, false))
  const groupErrors = runner('errors', () => drawGroupErrors(hiddenSize))
  // What every pruning needs is open from the start.
  for (const past of [false, true]) for (const gives of ['keys and sums', 'keys'] as const) layerRunner(past, gives)
  for (const gives of ['sums', 'nothing'] as const) layerRunner(true, gives)
  const { cos, sin } = rotaryTables(shape)
  const rotary = [contextTokens, headSize / 2]
  /** Buffers grow to the largest ever needed, so that runs make no garbage outside the heap. */
  const rooms = new Map<string, Float32Array>()
  const room = (name: string, length: number): Float32Array => {
    const found = rooms.get(name)
    const large: Float32Array = found && found.length >= length ? found : new Float32Array(length)
    rooms.set(name, large)
    return large.subarray(0, length)
  }
  let lastCausal: { tokens: number; mask: Float32Array } = { tokens: 0, mask: new Float32Array(0) }
  const causalFor = (tokens: number): Float32Array => {
    if (lastCausal.tokens !== tokens) {
      const mask = room('causal', (heads / kvHeads) * tokens * tokens)
      lastCausal = { tokens, mask: causal(heads / kvHeads, tokens, mask) }
    }
    return lastCausal.mask
  }

  return {
    layer(weights, { variants, tokens, position, past, masks, means }, hidden, { keys, sums } = {}) {
      const gives = keys ? (sums ? 'keys and sums' : 'keys') : sums ? 'sums' : 'nothing'
      const { run } = layerRunner(past !== null, gives)
      const dims = [variants, tokens, hiddenSize]
      const pastTokens = past ? past.keys.length / (kvHeads * headSize) : 0
      const matrix = (name: keyof LayerWeights, columns: number): Values => ({
        [name]: [[weights[name].length / columns, columns], weights[name]],
      })
      const cacheDims = [pastTokens, kvHeads, headSize]
      const inputs: Values = {
        hidden: [dims, hidden],
        inputNorm: [[hiddenSize], weights.inputNorm],
        mlpNorm: [[hiddenSize], weights.mlpNorm],
        ...matrix('q', hiddenSize),
        ...matrix('k', hiddenSize),
        ...matrix('v', hiddenSize),
        ...matrix('o', heads * headSize),
        ...matrix('gate', hiddenSize),
        ...matrix('up', hiddenSize),
        ...matrix('down', chunks * chunkChannels),
        position: [[1], BigInt64Array.of(BigInt(position))],
        cos: [rotary, cos],
        sin: [rotary, sin],
        causal: [[(heads / kvHeads) * tokens, tokens], causalFor(tokens)],
        'heads.mask': [[variants, kvHeads], masks.heads],
        'mlp.mask': [[variants, chunks], masks.mlp],
        'heads.mean': [[kvHeads, group], means.heads],
        'mlp.mean': [[chunks, chunkChannels], means.mlp],
        ...(past && {
          'past.keys': [cacheDims, past.keys],
          'past.values': [cacheDims, past.values],
          lengths: [[2], BigInt64Array.of(BigInt(pastTokens), BigInt(tokens))],
        }),
        ...(sums && { counted: [[variants, tokens, 1, 1], sums.counted] }),
      }
      const out = room('out', hidden.length)
      const newDims = [variants, tokens, kvHeads, headSize]
      const newKeys = room('keys', keys ? tokens * kvHeads * headSize : 0)
      const newValues = room('values', keys ? tokens * kvHeads * headSize : 0)
      const part = (name: 'heads' | 'mlp', count: number, size: number): Values => ({
        [`${name}.sum`]: [[count, size], room(`${name}.sum`, count * size)],
        [`${name}.products`]: [[count, size, size], room(`${name}.products`, count * size * size)],
      })
      const summed = sums ? { ...part('heads', kvHeads, group), ...part('mlp', chunks, chunkChannels) } : {}
      run(inputs, {
        out: [dims, out],
        ...(keys && { keys: [newDims, newKeys], values: [newDims, newValues] }),
        ...summed,
      })
      hidden.set(out)
      keys?.(newKeys, newValues)
      if (sums) {
        sums.into.tokens += sums.counted.reduce((a, b) => a + b, 0)
        for (const name of ['heads', 'mlp'] as const) {
          add(sums.into[name].sum, summed[`${name}.sum`][1] as Float32Array)
          add(sums.into[name].products, summed[`${name}.products`][1] as Float32Array)
        }
      }
    },
    reference(weights, hidden, tokens) {
      const logs = room('logs', tokens * vocabSize)
      const top = new BigInt64Array(tokens)
      referenceHead.run(
        {
          hidden: [[1, tokens, hiddenSize], hidden],
          finalNorm: [[hiddenSize], weights.finalNorm],
          head: [[vocabSize, hiddenSize], weights.head],
        },
        { logProbabilities: [[1, tokens, vocabSize], logs], top: [[1, tokens], top] },
      )
      return { logs, top }
    },
    divergence(weights, hidden, tokens, reference) {
      const variants = hidden.length / (tokens * hiddenSize)
      const kl = new Float32Array(variants * tokens)
      const top = new BigInt64Array(variants * tokens)
      head.run(
        {
          hidden: [[variants, tokens, hiddenSize], hidden],
          finalNorm: [[hiddenSize], weights.finalNorm],
          head: [[vocabSize, hiddenSize], weights.head],
          reference: [[tokens, vocabSize], reference],
        },
        { kl: [[variants, tokens], kl], top: [[variants, tokens], top] },
      )
      return { kl, top }
    },
    errors(matrix, covariance, means, count) {
      const size = means.length / count
      const errors = new Float32Array(count)
      const squares = new Float32Array(count * size)
      const bias = new Float32Array(count * hiddenSize)
      groupErrors.run(
        {
          matrix: [[hiddenSize, count * size], matrix],
          shape: [[3], BigInt64Array.of(BigInt(hiddenSize), BigInt(count), BigInt(size))],
          covariance: [[count, size, size], covariance],
          means: [[count, size, 1], means],
        },
        { errors: [[count], errors], squares: [[count, size], squares], bias: [[count, hiddenSize, 1], bias] },
      )
      return { errors, squares, bias }
    },
    close: () => {
      for (const open of runners.values()) open.close()
    },
  }
}

function add(into: Float64Array, more: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] += more[i]
}
