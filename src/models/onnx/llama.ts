import type { LlamaShape } from '../source/config.ts'
import { type Matrix, pickColumns, pickRows, stackRows } from './matrix.ts'
import { cacheHeadSize, padColumns, padHeads } from './padding.ts'
import { elementType, type Graph, type Node, node, valueInfo } from './proto.ts'
import type { Form, WeightPlan } from './weights.ts'

/** Weights of one layer, each [outputs, inputs] as in a Hugging Face checkpoint; norms are [1, hidden]. */
export interface LayerWeights {
  readonly inputNorm: Matrix
  readonly q: Matrix
  readonly k: Matrix
  readonly v: Matrix
  readonly o: Matrix
  readonly mlpNorm: Matrix
  readonly gate: Matrix
  readonly up: Matrix
  readonly down: Matrix
  /** MLP channels from the most to the least wanted. */
  readonly order: Int32Array
}

export interface LlamaPlan {
  readonly shape: LlamaShape
  readonly form: Form
  /** MLP channels per level. */
  readonly widths: readonly number[]
  readonly contextTokens: number
}

/** Names of the graph's inputs and outputs; the session binds by them. */
export const names = {
  ids: 'input_ids',
  pastLength: 'seqlens_k',
  totalLength: 'total_sequence_length',
  logitsFrom: 'logits_from',
  logits: 'logits',
  gate: (level: number): string => `gate.${level}`,
  past: (layer: number, part: 'key' | 'value'): string => `past.${layer}.${part}`,
  present: (layer: number, part: 'key' | 'value'): string => `present.${layer}.${part}`,
} as const

/**
 * Emits a LLaMA decoder with nested MLP levels. Level k's channels beyond those of level k−1 sit in one flat `If` per layer
 * whose weights belong to the outer graph: one copy serves every level, and a switched-off part is not read (DESIGN §6;
 * never an `If` inside an `If`). K and V are always computed, so the cache has no holes at any level.
 */
export function emitLlama(
  plan: LlamaPlan,
  weights: WeightPlan,
  embedding: Matrix,
  layers: Iterable<LayerWeights>,
  finalNorm: Matrix,
  head: Matrix,
): Graph {
  const { shape, form, widths, contextTokens } = plan
  const { hiddenSize, heads, kvHeads, headSize, vocabSize } = shape
  const nodes: Node[] = []
  const emit = (n: Node): string => {
    nodes.push(n)
    return n.output[0]
  }
  const padded = cacheHeadSize(headSize)
  addRotary(weights, shape, contextTokens, padded)
  weights.add('embed', 'float32', [vocabSize, hiddenSize], embedding)
  let x = emit(node('Gather', ['embed', names.ids], ['embedded']))
  const norm = (name: string, input: string, scale: Matrix): string => {
    weights.add(`${name}.weight`, 'float32', [hiddenSize], scale)
    return emit(
      node('SimplifiedLayerNormalization', [input, `${name}.weight`], [name], {
        axis: -1,
        epsilon: { float: shape.normEpsilon },
      }),
    )
  }
  const project = (name: string, input: string, matrix: Matrix): string =>
    emit(weights.matmul(name, input, matrix, form))

  let index = 0
  for (const layer of layers) {
    const at = `layer.${index}`
    const h = norm(`${at}.input_norm`, x, layer.inputNorm)
    const q = project(`${at}.q`, h, padHeads(layer.q, heads, headSize, padded))
    const k = project(`${at}.k`, h, padHeads(layer.k, kvHeads, headSize, padded))
    const v = project(`${at}.v`, h, padHeads(layer.v, kvHeads, headSize, padded))
    emit(
      node(
        'com.microsoft.GroupQueryAttention',
        [
          q,
          k,
          v,
          names.past(index, 'key'),
          names.past(index, 'value'),
          names.pastLength,
          names.totalLength,
          'rope.cos',
          'rope.sin',
        ],
        [`${at}.attention`, names.present(index, 'key'), names.present(index, 'value')],
        {
          num_heads: heads,
          kv_num_heads: kvHeads,
          do_rotary: 1,
          rotary_interleaved: 0,
          scale: { float: 1 / Math.sqrt(headSize) },
        },
      ),
    )
    const o = padColumns(layer.o, heads, headSize, padded)
    const read = emit(weights.matmul(`${at}.o`, `${at}.attention`, o, form))
    x = emit(node('Add', [x, read], [`${at}.residual`]))
    const m = norm(`${at}.mlp_norm`, x, layer.mlpNorm)
    for (const [level, width] of widths.entries()) {
      const segment = mlpSegment(`${at}.mlp.${level}`, m, layer, widths[level - 1] ?? 0, width, form, weights)
      x = level === 0 ? emitAll(emit, segment, x, `${at}.sum.0`) : emit(gated(`${at}.sum.${level}`, level, segment, x))
    }
    index++
  }
  // Only the wanted positions go through the large lm_head: the last one in prefill, all of them when scoring.
  const slice = emit(node('Slice', [x, names.logitsFrom, 'slice.end', 'slice.axis'], ['wanted']))
  const last = norm('final_norm', slice, finalNorm)
  const headForm: Form = form.quantisation === 'none' ? form : { quantisation: 'int8', block: form.block }
  const logits = weights.matmul('lm_head', last, head, headForm)
  emit({ ...logits, output: [names.logits] })

  const cache = (name: (layer: number, part: 'key' | 'value') => string): object[] =>
    Array.from({ length: shape.layers }, (_, i) =>
      (['key', 'value'] as const).map((part) =>
        valueInfo(name(i, part), 'float32', ['batch', kvHeads, 'slots', padded]),
      ),
    ).flat()
  return {
    name: 'llama',
    node: nodes,
    initializer: [...weights.tensors, int64('slice.end', 2 ** 31), int64('slice.axis', 1)],
    input: [
      valueInfo(names.ids, 'int64', ['batch', 'tokens']),
      valueInfo(names.pastLength, 'int32', ['batch']),
      valueInfo(names.totalLength, 'int32', [1]),
      valueInfo(names.logitsFrom, 'int64', [1]),
      ...widths.slice(1).map((_, i) => valueInfo(names.gate(i + 1), 'bool', [])),
      ...cache(names.past),
    ],
    output: [valueInfo(names.logits, 'float32', ['batch', 'wanted', vocabSize]), ...cache(names.present)],
  }
}

/** Gate, up, SiLU and down for channels [from, to) of the order: the part a level adds to the one below. */
function mlpSegment(
  name: string,
  input: string,
  layer: LayerWeights,
  from: number,
  to: number,
  form: Form,
  weights: WeightPlan,
): Node[] {
  const channels = layer.order.subarray(from, to)
  const both = stackRows([pickRows(layer.gate, channels), pickRows(layer.up, channels)])
  const down = pickColumns(layer.down, channels)
  return [
    weights.matmul(`${name}.gate_up`, input, both, form),
    node('Split', [`${name}.gate_up.out`], [`${name}.gate`, `${name}.up`], { axis: -1, num_outputs: 2 }),
    node('com.microsoft.QuickGelu', [`${name}.gate`], [`${name}.silu`], { alpha: { float: 1 } }),
    node('Mul', [`${name}.silu`, `${name}.up`], [`${name}.hidden`]),
    weights.matmul(`${name}.down`, `${name}.hidden`, down, form),
  ]
}

const lastOutput = (segment: readonly Node[]): string => segment[segment.length - 1].output[0]

function emitAll(emit: (n: Node) => string, segment: readonly Node[], sum: string, name: string): string {
  for (const n of segment) emit(n)
  return emit(node('Add', [sum, lastOutput(segment)], [name]))
}

function gated(name: string, level: number, segment: readonly Node[], sum: string): Node {
  const branch = (side: string, body: readonly Node[]): Graph => ({
    name: `${name}.${side}`,
    node: body,
    initializer: [],
    input: [],
    output: [valueInfo(`${name}.${side}`, 'float32', ['batch', 'tokens', 'hidden'])],
  })
  return node('If', [names.gate(level)], [name], {
    then_branch: branch('on', [...segment, node('Add', [sum, lastOutput(segment)], [`${name}.on`])]),
    else_branch: branch('off', [node('Identity', [sum], [`${name}.off`])]),
  })
}

const int64 = (name: string, value: number) => ({
  name,
  dims: [1],
  dataType: elementType.int64,
  rawData: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
})

/** Cosines and sines per position for half a head; padded channels keep angle zero. */
function addRotary(
  weights: WeightPlan,
  { rotary: { inverseFrequencies, attentionFactor } }: LlamaShape,
  contextTokens: number,
  padded: number,
): void {
  const half = padded / 2
  const cos = new Float32Array(contextTokens * half).fill(1)
  const sin = new Float32Array(contextTokens * half)
  for (let position = 0; position < contextTokens; position++) {
    for (const [i, frequency] of inverseFrequencies.entries()) {
      cos[position * half + i] = Math.cos(position * frequency) * attentionFactor
      sin[position * half + i] = Math.sin(position * frequency) * attentionFactor
    }
  }
  weights.add('rope.cos', 'float32', [contextTokens, half], cos)
  weights.add('rope.sin', 'float32', [contextTokens, half], sin)
}
