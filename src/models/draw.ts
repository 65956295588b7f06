import type { LayerLevels } from './levels.ts'
import type { Activations } from './onnx/activations.ts'
import type { KvType } from './onnx/interface.ts'
import { emitLlama, type LlamaMatrices } from './onnx/llama.ts'
import { encodeModel } from './onnx/proto.ts'
import type { Shifts } from './onnx/shifts.ts'
import { type Form, planWeights, type WeightPlan } from './onnx/weights.ts'
import { dataFile } from './pipeline/workspace.ts'
import type { LlamaShape } from './source/config.ts'

/** The graph for each way to keep keys and values; all of a package use the same weight file. */
export const graphFiles: Readonly<Record<KvType, string>> = {
  float32: 'model.onnx',
  float16: 'model.onnx',
  int8: 'model.kv8.onnx',
}

/** Which channels and heads the levels take, in order: the widths and counts in the manifest are lengths of these lists. */
export const orderFile = 'order.json'

/** What one step of an int8 key or value stands for; the manifest names it when it is used. */
export const scalesFile = 'kv-scales.bin'

export interface Drawing {
  readonly form: Form
  readonly levels: readonly LayerLevels[]
  readonly weights: WeightPlan
  /** Files of the package whose content is known before any weight is read. */
  readonly files: Readonly<Record<string, Uint8Array | string>>
}

/** Draws the graphs of a package and plans its weight file; `shifts` stand for what levels leave out. */
export function drawPackage(
  shape: LlamaShape,
  form: Form,
  levels: readonly LayerLevels[],
  matrices: LlamaMatrices,
  activations: Activations = 'float32',
  shifts?: Shifts,
): Drawing {
  const draw = (kv: KvType): { weights: WeightPlan; graph: Uint8Array } => {
    const weights = planWeights(dataFile, activations)
    const plan = { shape, form, kv, contextTokens: shape.contextTokens, levels, shifts }
    return { graph: encodeModel(emitLlama(plan, weights, matrices)), weights }
  }
  const { graph, weights } = draw(activations)
  const order = levels.map(({ channels, groups }) => ({ channels: [...channels], groups: [...groups] }))
  const files = {
    [graphFiles[activations]]: graph,
    // Only the CPU's attention kernel takes int8 keys and values as we scale them, beside float32 activations.
    ...(activations === 'float32' && { [graphFiles.int8]: draw('int8').graph }),
    [orderFile]: JSON.stringify({ layers: order }),
  }
  return { form, levels, weights, files }
}
