import { DeapdError } from '../../errors.ts'
import type { Extras } from '../describe.ts'
import { type Matrix, tensorMatrix } from '../onnx/matrix.ts'
import type { LlamaShape } from './config.ts'
import type { TensorTable } from './tensors.ts'

/** The matrices of one layer, each [outputs, inputs] with heads in Hugging Face's order; norms are [1, hidden]. */
export interface LayerMatrices {
  readonly inputNorm: Matrix
  readonly q: Matrix
  readonly k: Matrix
  readonly v: Matrix
  readonly o: Matrix
  readonly mlpNorm: Matrix
  readonly gate: Matrix
  readonly up: Matrix
  readonly down: Matrix
}

/** A LLaMA as people have it, whatever the format: everything an import needs, and no weight read yet. */
export interface Checkpoint {
  readonly path: string
  readonly shape: LlamaShape
  readonly tensors: TensorTable
  readonly embedding: Matrix
  readonly layers: readonly LayerMatrices[]
  readonly finalNorm: Matrix
  readonly head: Matrix
  /** Content of tokenizer.json. */
  readonly tokenizer: string
  /** Content of chat_template.jinja. */
  readonly template: string
  readonly extras: Extras
}

/** Makes matrices of a table's tensors after comparing their shapes with what the configuration says. */
export const matrixMaker =
  (path: string, tensors: TensorTable) =>
  (name: string, shape: readonly [number] | readonly [number, number]): Matrix => {
    const found = tensors[name]
    if (!found) throw new DeapdError('import_damaged', { path, detail: `tensor ${name} is missing` })
    if (found.shape.join() !== shape.join()) {
      throw new DeapdError('import_damaged', {
        path,
        detail: `${name} is [${found.shape}], the configuration says [${shape}]`,
      })
    }
    return shape.length === 1 ? tensorMatrix(name, 1, shape[0]) : tensorMatrix(name, shape[0], shape[1])
  }
