import type { LlamaShape } from '../source/config.ts'
import { type Builder, createBuilder } from './builder.ts'
import { type ElementType, type Graph, node, valueInfo } from './proto.ts'

/**
 * The graphs that pruning is measured with: one layer, the head, and the error of a dropped group. Weights are inputs, so
 * that one session serves every layer and a large model streams through it, and every group has a mask to multiply with, so
 * that the rows of a batch can be different sub-networks. Activations are float32. A group is `size` channels that go
 * together: a chunk of the MLP, or the query heads of one key-value head; `groups` of them make a layer's input of `down` or `o`.
 */
export interface CalibrationShape {
  readonly shape: LlamaShape
  /** MLP channels of a group, and groups; together they may be more than the layer has: the rest are zeros. */
  readonly chunkChannels: number
  readonly chunks: number
}

export interface LayerGraph extends CalibrationShape {
  /** Whether the tokens stand after others, whose keys and values are given. */
  readonly past: boolean
  /** What to give back beside the residual: the new keys and values, and sums over the counted tokens. */
  readonly gives: 'nothing' | 'keys' | 'keys and sums' | 'sums'
}

type Dims = readonly (number | string)[]

/** A graph that collects its inputs and outputs while it is drawn. */
function drawing(name: string) {
  const builder = createBuilder()
  const input: object[] = []
  const output: object[] = []
  return {
    builder,
    take(name: string, dims: Dims, type: ElementType = 'float32'): string {
      input.push(valueInfo(name, type, dims))
      return name
    },
    give(from: string, name: string, dims: Dims, type: ElementType = 'float32'): void {
      builder.emit(node('Identity', [from], [name]))
      output.push(valueInfo(name, type, dims))
    },
    done: (): Graph => ({ name, node: builder.nodes, initializer: builder.constants, input, output }),
  }
}

/** Appends an operator with one output called `name`. */
type Draw = (op: string, inputs: readonly string[], name: string, attributes?: Parameters<typeof node>[3]) => string
const drawer =
  ({ emit }: Builder): Draw =>
  (op, inputs, name, attributes) =>
    emit(node(op, inputs, [name], attributes))

/** `input` [..., columns] by the transpose of `matrix` [rows, columns], as checkpoints keep it. */
const times = (draw: Draw, input: string, matrix: string, name: string): string =>
  draw('com.microsoft.FusedMatMul', [input, matrix], name, { transB: 1 })

/** One decoder layer over [variants, tokens, hidden]; all variants read the same past. */
export function drawCalibrationLayer(plan: LayerGraph): Graph {
  const { take, give, builder, done } = drawing('calibration layer')
  const draw = drawer(builder)
  const { integers, emit } = builder
  const { shape, chunkChannels, chunks, past, gives } = plan
  const { hiddenSize, heads, kvHeads, headSize, normEpsilon } = shape
  const shared = heads / kvHeads
  const group = shared * headSize
  const wide = chunks * chunkChannels
  const scale = { float: 1 / Math.sqrt(headSize) }
  const x = take('hidden', ['variants', 'tokens', hiddenSize])
  const weight = (name: string, ...dims: number[]): string => take(name, dims)
  const norm = (input: string, name: string): string =>
    draw('SimplifiedLayerNormalization', [input, weight(name, hiddenSize)], `${name}.out`, {
      axis: -1,
      epsilon: { float: normEpsilon },
    })
  const counted = gives.endsWith('sums') ? take('counted', ['variants', 'tokens', 1, 1]) : ''
  /** Masks the groups of [variants, tokens, groups, size] and puts their means in their place; sums them up before. */
  const masked = (from: string, name: string, groups: number, size: number): string => {
    const split = draw('Reshape', [from, integers(0, 0, groups, size)], `${name}.groups`)
    if (counted !== '') {
      const [sums, products] = sumsOf(draw, integers, split, counted, name, groups, size)
      give(sums, `${name}.sum`, [groups, size])
      give(products, `${name}.products`, [groups, size, size])
    }
    const mask = draw('Reshape', [take(`${name}.mask`, ['variants', groups]), integers(0, 1, groups, 1)], `${name}.on`)
    const mean = take(`${name}.mean`, [groups, size])
    const deviation = draw('Sub', [split, mean], `${name}.deviation`)
    const kept = draw('Mul', [deviation, mask], `${name}.kept`)
    const compensated = draw('Add', [kept, mean], `${name}.compensated`)
    return draw('Reshape', [compensated, integers(0, 0, groups * size)], `${name}.flat`)
  }

  const h = norm(x, 'inputNorm')
  const tables = [
    take('position', [1], 'int64'),
    take('cos', ['positions', headSize / 2]),
    take('sin', ['positions', headSize / 2]),
  ]
  const rotated = (name: string, count: number): string => {
    const flat = times(draw, h, weight(name, count * headSize, hiddenSize), `${name}.flat`)
    return draw('com.microsoft.RotaryEmbedding', [flat, ...tables], `${name}.rotated`, { num_heads: count })
  }
  // Queries of one key-value head are rows of one matrix, so that keys are never repeated.
  const query5 = draw('Reshape', [rotated('q', heads), integers(0, 0, kvHeads, shared, headSize)], 'q.heads')
  const query = draw(
    'Reshape',
    [emit(node('Transpose', [query5], ['q.turned'], { perm: [0, 2, 3, 1, 4] })), integers(0, kvHeads, -1, headSize)],
    'q.rows',
  )
  const keys = draw('Reshape', [rotated('k', kvHeads), integers(0, 0, kvHeads, headSize)], 'k.heads')
  const flatValues = times(draw, h, weight('v', kvHeads * headSize, hiddenSize), 'v.flat')
  const values = draw('Reshape', [flatValues, integers(0, 0, kvHeads, headSize)], 'v.heads')
  if (gives.startsWith('keys')) {
    give(keys, 'keys', ['variants', 'tokens', kvHeads, headSize])
    give(values, 'values', ['variants', 'tokens', kvHeads, headSize])
  }
  const byHead = (from: string, name: string, perm: readonly number[]): string =>
    emit(node('Transpose', [from], [name], { perm }))
  const ownKeys = byHead(keys, 'k.byHead', [0, 2, 1, 3])
  const ownValues = byHead(values, 'v.byHead', [0, 2, 1, 3])
  const scores = (from: string, name: string): string =>
    draw('com.microsoft.FusedMatMul', [query, from], name, { transB: 1, alpha: scale })
  const own = draw('Add', [scores(ownKeys, 'own.scores'), take('causal', ['queries', 'tokens'])], 'own.causal')
  let read: string
  if (past) {
    const pastDims = ['past', kvHeads, headSize]
    const before = byHead(take('past.keys', pastDims), 'past.k', [1, 0, 2])
    const beforeValues = byHead(take('past.values', pastDims), 'past.v', [1, 0, 2])
    const all = draw(
      'Softmax',
      [draw('Concat', [scores(before, 'past.scores'), own], 'scores', { axis: -1 })],
      'shares',
      { axis: -1 },
    )
    emit(node('Split', [all, take('lengths', [2], 'int64')], ['past.shares', 'own.shares'], { axis: -1 }))
    const fromPast = draw('MatMul', ['past.shares', beforeValues], 'past.read')
    read = draw('Add', [fromPast, draw('MatMul', ['own.shares', ownValues], 'own.read')], 'read')
  } else {
    read = draw('MatMul', [draw('Softmax', [own], 'shares', { axis: -1 }), ownValues], 'read')
  }
  const read5 = draw('Reshape', [read, integers(0, kvHeads, shared, -1, headSize)], 'read.heads')
  const result = emit(node('Transpose', [read5], ['read.turned'], { perm: [0, 3, 1, 2, 4] }))
  const attended = masked(
    draw('Reshape', [result, integers(0, 0, heads * headSize)], 'read.flat'),
    'heads',
    kvHeads,
    group,
  )
  const middle = draw('Add', [x, times(draw, attended, weight('o', hiddenSize, heads * headSize), 'o.out')], 'middle')

  const m = norm(middle, 'mlpNorm')
  const gate = times(draw, m, weight('gate', wide, hiddenSize), 'gate.out')
  const silu = draw('com.microsoft.QuickGelu', [gate], 'silu', { alpha: { float: 1 } })
  const hidden = draw('Mul', [silu, times(draw, m, weight('up', wide, hiddenSize), 'up.out')], 'mlp.hidden')
  const kept = masked(hidden, 'mlp', chunks, chunkChannels)
  const down = times(draw, kept, weight('down', hiddenSize, wide), 'down.out')
  give(draw('Add', [middle, down], 'sum'), 'out', ['variants', 'tokens', hiddenSize])
  return done()
}

/** Σ h and Σ h hᵀ of each group over the counted tokens: what its means and covariances follow from. */
function sumsOf(
  draw: Draw,
  integers: Builder['integers'],
  split: string,
  counted: string,
  name: string,
  groups: number,
  size: number,
): readonly [sums: string, products: string] {
  const weighted = draw('Mul', [split, counted], `${name}.counted`)
  const turn = (from: string, to: string): string => {
    const rows = draw('Reshape', [from, integers(-1, groups, size)], `${to}.rows`)
    return draw('Transpose', [rows], to, { perm: [1, 0, 2] })
  }
  const left = turn(weighted, `${name}.left`)
  const products = draw('com.microsoft.FusedMatMul', [left, turn(split, `${name}.right`)], `${name}.outer`, {
    transA: 1,
  })
  return [draw('ReduceSum', [weighted, integers(0, 1)], `${name}.total`, { keepdims: 0 }), products]
}

/**
 * The head over [variants, tokens, hidden]: with `reference` the divergence of each token's distribution from the given
 * log-probabilities [tokens, vocabulary] in nats, KL(reference ‖ own), else the log-probabilities; and the likeliest token.
 */
export function drawCalibrationHead(shape: LlamaShape, reference: boolean): Graph {
  const { take, give, builder, done } = drawing('calibration head')
  const draw = drawer(builder)
  const { hiddenSize, vocabSize, normEpsilon } = shape
  const x = take('hidden', ['variants', 'tokens', hiddenSize])
  const last = draw('SimplifiedLayerNormalization', [x, take('finalNorm', [hiddenSize])], 'last', {
    axis: -1,
    epsilon: { float: normEpsilon },
  })
  const logits = times(draw, last, take('head', [vocabSize, hiddenSize]), 'logits')
  give(draw('ArgMax', [logits], 'likeliest', { axis: -1, keepdims: 0 }), 'top', ['variants', 'tokens'], 'int64')
  const own = draw('LogSoftmax', [logits], 'log', { axis: -1 })
  if (!reference) give(own, 'logProbabilities', ['variants', 'tokens', vocabSize])
  else {
    const expected = take('reference', ['tokens', vocabSize])
    const difference = draw('Sub', [expected, own], 'difference')
    const weighted = draw('Mul', [draw('Exp', [expected], 'probability'), difference], 'weighted')
    const last = builder.integers(-1)
    give(draw('ReduceSum', [weighted, last], 'divergence', { keepdims: 0 }), 'kl', ['variants', 'tokens'])
  }
  return done()
}

/**
 * What dropping a group does to its layer once its mean is put in its place: tr(W Σ Wᵀ) for the covariance Σ of its channels
 * [groups, size, size] and its columns W of `matrix` [hidden, groups · size]. Gives the sums of squares of the columns too.
 */
export function drawGroupErrors(hiddenSize: number): Graph {
  const { take, give, builder, done } = drawing('group errors')
  const draw = drawer(builder)
  const { integers, emit } = builder
  const covariance = take('covariance', ['groups', 'size', 'size'])
  const columns = draw('Reshape', [take('matrix', [hiddenSize, 'channels']), take('shape', [3], 'int64')], 'columns')
  const turned = emit(node('Transpose', [columns], ['turned'], { perm: [1, 0, 2] }))
  const gram = draw('com.microsoft.FusedMatMul', [turned, turned], 'gram', { transA: 1 })
  const product = draw('Mul', [gram, covariance], 'product')
  give(draw('ReduceSum', [product, integers(1, 2)], 'trace', { keepdims: 0 }), 'errors', ['groups'])
  const squares = draw('Mul', [turned, turned], 'squared')
  give(draw('ReduceSum', [squares, integers(1)], 'lengths', { keepdims: 0 }), 'squares', ['groups', 'size'])
  const means = take('means', ['groups', 'size', 1])
  give(draw('MatMul', [turned, means], 'shift'), 'bias', ['groups', hiddenSize, 1])
  return done()
}
