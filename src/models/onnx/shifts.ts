import { type Builder, gateName } from './builder.ts'
import { node } from './proto.ts'
import type { WeightPlan } from './weights.ts'

/**
 * What stands for the segments that are off: each one's output for the mean of its channels. Row k − 1 holds, layer by layer, what
 * the heads and what the chunks that come with level k leave behind, [hidden] each: float32 [levels − 1, layers · 2 · hidden].
 */
export interface Shifts {
  readonly levels: number
  readonly data: Float32Array
}

/** The name of the tensor in the weight file. */
export const shiftsName = 'shifts'

/** Stands for "to the end" in Slice. */
const toTheEnd = 2 ** 31

/**
 * Draws the sum of the rows of all levels that are off, split into `parts`. As with the segments themselves, what is not needed
 * is a row that is not there: the full level reads none and gets zeros.
 */
export function drawShifts(
  { emit, integers }: Builder,
  weights: WeightPlan,
  { levels, data }: Shifts,
  parts: number,
): readonly string[] {
  if (levels < 2) return []
  weights.add(shiftsName, [levels - 1, data.length / (levels - 1)], data)
  const zero = integers(0)
  const gates = Array.from({ length: levels - 1 }, (_, i) => gateName(i + 1))
  const all = gates.length === 1 ? gates[0] : emit(node('Concat', gates, ['gates'], { axis: 0 }))
  const level = emit(node('ReduceSum', [all, zero], ['level']))
  const off = emit(node('Slice', [shiftsName, level, integers(toTheEnd), zero], ['shifts.off']))
  const sum = emit(node('ReduceSum', [off, zero], ['shifts.sum'], { keepdims: 0 }))
  // Says the length aloud: it cannot be inferred behind a slice, and the products that take a part want to know it.
  const whole = emit(node('Reshape', [sum, integers(data.length / (levels - 1))], ['shifts.whole']))
  const names = Array.from({ length: parts }, (_, i) => `shift.${i}`)
  emit(node('Split', [whole], names, { axis: 0, num_outputs: parts }))
  return names
}
