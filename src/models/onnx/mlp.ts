import type { LayerLevels } from '../levels.ts'
import type { LayerMatrices } from '../source/checkpoint.ts'
import { type Builder, gated, segmentsOf } from './builder.ts'
import { pickColumns, pickRows, stackRows } from './matrix.ts'
import { node } from './proto.ts'
import type { Form, WeightPlan } from './weights.ts'

/**
 * Draws the MLP of one layer and returns its segments' results, to be added to the residual. `shift` is a bias for the segment
 * that always runs.
 */
export function drawMlp(
  builder: Builder,
  weights: WeightPlan,
  form: Form,
  at: string,
  input: string,
  layer: LayerMatrices,
  levels: LayerLevels,
  shift?: string,
): readonly string[] {
  const { emit } = builder
  return segmentsOf(levels.widths).map((segment) => {
    const name = `${at}.mlp.${segment.level}`
    const channels = levels.channels.subarray(segment.from, segment.to)
    // Gate and up are one product: one pass over the input, one piece of work for the threads.
    const both = stackRows([pickRows(layer.gate, channels), pickRows(layer.up, channels)])
    return gated(builder, name, segment, input, (rows) => {
      const wide = emit(weights.matmul(`${name}.gate_up`, rows, both, form))
      emit(node('Split', [wide], [`${name}.gate`, `${name}.up`], { axis: -1, num_outputs: 2 }))
      const silu = emit(node('com.microsoft.QuickGelu', [`${name}.gate`], [`${name}.silu`], { alpha: { float: 1 } }))
      const hidden = emit(node('Mul', [silu, `${name}.up`], [`${name}.hidden`]))
      const bias = segment.level === 0 ? shift : undefined
      return emit(weights.matmul(`${name}.down`, hidden, pickColumns(layer.down, channels), form, bias))
    })
  })
}
