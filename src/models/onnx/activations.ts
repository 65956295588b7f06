import { toHalf } from '../half.ts'

/** Element types that activations, and whatever is combined with them, can have in a graph. */
export type Activations = 'float32' | 'float16'
export const bytesOf: Readonly<Record<Activations, number>> = { float32: 4, float16: 2 }

/** The values as they are written for graphs of this kind. */
export function asActivations(values: Float32Array, type: Activations): Float32Array | Uint16Array {
  return type === 'float32' ? values : Uint16Array.from(values, toHalf)
}
