import type { LayerLevels } from '../levels.ts'
import type { LayerMatrices } from '../source/checkpoint.ts'
import type { LlamaShape } from '../source/config.ts'
import { drawAttention } from './attention.ts'
import { createBuilder } from './builder.ts'
import { cacheParts, type KvType, names } from './interface.ts'
import type { Matrix } from './matrix.ts'
import { drawMlp } from './mlp.ts'
import { cacheHeadSize } from './padding.ts'
import { elementType, type Graph, node, valueInfo } from './proto.ts'
import { addRotary } from './rotary.ts'
import { drawShifts, type Shifts } from './shifts.ts'
import { type Form, takesBias, type WeightPlan } from './weights.ts'

export interface LlamaPlan {
  readonly shape: LlamaShape
  readonly form: Form
  readonly kv: KvType
  readonly contextTokens: number
  /** What each level runs, layer by layer. */
  readonly levels: readonly LayerLevels[]
  readonly shifts?: Shifts
}

export interface LlamaMatrices {
  readonly embedding: Matrix
  readonly layers: readonly LayerMatrices[]
  readonly finalNorm: Matrix
  readonly head: Matrix
}

/** Stands for "to the end" in Slice. */
const toTheEnd = 2 ** 31

/** Emits a LLaMA decoder with nested levels: one copy of the weights, of which a level reads only its own (DESIGN §6). */
export function emitLlama(plan: LlamaPlan, weights: WeightPlan, matrices: LlamaMatrices): Graph {
  const { shape, form, contextTokens } = plan
  const { hiddenSize, vocabSize } = shape
  const builder = createBuilder()
  const { emit, integers } = builder
  addRotary(weights, shape, contextTokens, cacheHeadSize(shape.headSize))
  weights.add('embed', [vocabSize, hiddenSize], matrices.embedding)
  const norm = (name: string, input: string, scale: Matrix): string => {
    weights.add(`${name}.weight`, [hiddenSize], scale)
    const attributes = { axis: -1, epsilon: { float: shape.normEpsilon } }
    return emit(node('SimplifiedLayerNormalization', [input, `${name}.weight`], [name], attributes))
  }
  const addAll = (name: string, residual: string, parts: readonly string[]): string =>
    parts.reduce((sum, part, i) => emit(node('Add', [sum, part], [`${name}.${i}`])), residual)
  const shifts = plan.shifts === undefined ? [] : drawShifts(builder, weights, plan.shifts, 2 * shape.layers)
  const inProduct = takesBias(form, weights.activations)
  /** A shift goes along with the product that always runs, where its kernel can, else it is added to the residual. */
  const addShift = (name: string, residual: string, shift: string | undefined, always: number) => {
    if (shift === undefined || (inProduct && always > 0)) return { residual, bias: shift }
    return { residual: emit(node('Add', [residual, shift], [name])), bias: undefined }
  }

  let x = emit(node('Gather', ['embed', names.ids], ['embedded']))
  for (const [index, layer] of matrices.layers.entries()) {
    const at = `layer.${index}`
    const levels = plan.levels[index]
    const h = norm(`${at}.input_norm`, x, layer.inputNorm)
    const headShift = addShift(`${at}.attention.shift`, x, shifts[2 * index], levels.counts[0])
    const read = drawAttention(builder, weights, plan, index, h, layer, levels, headShift.bias)
    x = addAll(`${at}.residual`, headShift.residual, read)
    const m = norm(`${at}.mlp_norm`, x, layer.mlpNorm)
    const mlpShift = addShift(`${at}.mlp.shift`, x, shifts[2 * index + 1], levels.widths[0])
    x = addAll(`${at}.out`, mlpShift.residual, drawMlp(builder, weights, form, at, m, layer, levels, mlpShift.bias))
  }
  // Only the wanted positions go through the large lm_head: the last one in prefill, all of them when scoring.
  const wanted = emit(node('Slice', [x, names.logitsFrom, integers(toTheEnd), integers(1)], ['wanted']))
  const last = norm('final_norm', wanted, matrices.finalNorm)
  const headForm: Form = form.quantisation === 'none' ? form : { quantisation: 'int8', block: form.block }
  const scores = weights.matmul('lm_head', last, matrices.head, headForm)
  // Logits are float32 whatever the activations are: the sampler computes in float32.
  if (weights.activations === 'float32') emit({ ...scores, output: [names.logits] })
  else emit(node('Cast', [emit(scores)], [names.logits], { to: elementType.float32 }))
  return {
    name: 'llama',
    node: builder.nodes,
    initializer: [...weights.tensors, ...builder.constants],
    ...interfaceOf(plan),
  }
}

function interfaceOf({ shape, kv, levels }: LlamaPlan): Pick<Graph, 'input' | 'output'> {
  const { kvHeads, vocabSize } = shape
  const padded = cacheHeadSize(shape.headSize)
  const perLayer = <T>(make: (layer: number, part: 'key' | 'value') => T): T[] =>
    levels.flatMap((_, layer) => cacheParts.map((part) => make(layer, part)))
  const cache = (name: typeof names.past): object[] =>
    perLayer((layer, part) => valueInfo(name(layer, part), kv, ['batch', kvHeads, 'slots', padded]))
  return {
    input: [
      valueInfo(names.ids, 'int64', ['batch', 'tokens']),
      valueInfo(names.pastLength, 'int32', ['batch']),
      valueInfo(names.totalLength, 'int32', [1]),
      valueInfo(names.logitsFrom, 'int64', [1]),
      ...levels[0].widths.slice(1).map((_, i) => valueInfo(names.gate(i + 1), 'int64', [1])),
      ...cache(names.past),
      ...(kv === 'int8'
        ? perLayer((layer, part) => valueInfo(names.scale(layer, part), 'float32', [kvHeads * padded]))
        : []),
    ],
    output: [valueInfo(names.logits, 'float32', ['batch', 'wanted', vocabSize]), ...cache(names.present)],
  }
}
