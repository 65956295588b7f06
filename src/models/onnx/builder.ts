import { elementType, type Node, node, type TensorInfo } from './proto.ts'

/** A graph while it is drawn. */
export interface Builder {
  readonly nodes: Node[]
  readonly constants: TensorInfo[]
  /** Appends a node and returns its first output. */
  emit(n: Node): string
  /** A one-dimensional int64 constant; the same numbers are kept once. */
  integers(...values: number[]): string
  /** An int64 constant without dimensions. */
  integer(value: number): string
}

export function createBuilder(): Builder {
  const nodes: Node[] = []
  const constants: TensorInfo[] = []
  const constant = (name: string, dims: readonly number[], values: readonly number[]): string => {
    if (!constants.some((c) => c.name === name)) {
      const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
      constants.push({ name, dims, dataType: elementType.int64, rawData })
    }
    return name
  }
  return {
    nodes,
    constants,
    emit(n) {
      nodes.push(n)
      return n.output[0]
    },
    integers: (...values) => constant(`integers.${values.join('.')}`, [values.length], values),
    integer: (value) => constant(`integer.${value}`, [], [value]),
  }
}

/** The part of a layer that level `level` adds to the one below: rows or columns [from, to) in the order of the levels. */
export interface Segment {
  readonly level: number
  readonly from: number
  readonly to: number
}

/** Cuts a layer at the ends that its levels have, ascending; levels that add nothing have no segment. */
export const segmentsOf = (ends: readonly number[]): readonly Segment[] =>
  ends.map((to, level) => ({ level, from: ends[level - 1] ?? 0, to })).filter(({ from, to }) => to > from)

/** Name of the int64 [1] input that is 1 when `level` or a higher one runs, else 0. */
export const gateName = (level: number): string => `gate.${level}`

/**
 * Draws a segment behind its gate. `input` [batch, tokens, width] gets a leading axis of one, which the gate cuts to zero
 * rows when the level is off: matrix products of no rows read no weights. A row of zeros is put before what comes out, and the
 * last row is the segment's result. (A sum over that axis says the same, and took ten times as long as both together.)
 * It is control flow without an `If`, so that one graph serves all levels and its weights can be prepacked and mapped.
 */
export function gated(
  builder: Builder,
  name: string,
  { level }: Segment,
  input: string,
  draw: (gatedInput: string) => string,
): string {
  const { emit, integers, integer } = builder
  if (level === 0) return draw(input)
  const zero = integers(0)
  const lead = `${input}.lead`
  if (!builder.nodes.some((n) => n.output[0] === lead)) emit(node('Unsqueeze', [input, zero], [lead]))
  const cut = emit(node('Slice', [lead, zero, gateName(level), zero], [`${name}.gated`]))
  const padded = emit(node('Pad', [draw(cut), integers(1, 0, 0, 0, 0, 0, 0, 0)], [`${name}.padded`]))
  return emit(node('Gather', [padded, integer(-1)], [`${name}.or_zeros`], { axis: 0 }))
}
