/** How the MLP channels of every layer are cut into nested sub-networks. */
export interface Cut {
  /** Channels in one chunk: 128, or 32 where a layer has fewer than 1,024 (DESIGN §6). */
  readonly chunkChannels: number
  /** Channels per level, ascending; the last is all of them. Uniform over the layers. */
  readonly widths: readonly number[]
}

export const chunkChannelsFor = (ffnSize: number): number => (ffnSize < 1024 ? 32 : 128)

/** `levels` nested widths of whole chunks, evenly spaced; fewer when the layer has fewer chunks than that. */
export function cutLevels(ffnSize: number, levels: number): Cut {
  const chunkChannels = chunkChannelsFor(ffnSize)
  const chunks = Math.ceil(ffnSize / chunkChannels)
  const count = Math.min(levels, chunks)
  const widths = Array.from({ length: count }, (_, level) =>
    Math.min(ffnSize, Math.round(((level + 1) * chunks) / count) * chunkChannels),
  )
  return { chunkChannels, widths }
}

/** Channel numbers by falling weight norm: those whose rows of gate and up and column of down weigh most come first. */
export function orderByNorm(gate: Float32Array, up: Float32Array, down: Float32Array, ffnSize: number): Uint32Array {
  const hidden = gate.length / ffnSize
  const squares = new Float64Array(ffnSize)
  for (let c = 0; c < ffnSize; c++) {
    let sum = 0
    for (let i = 0; i < hidden; i++) {
      sum += gate[c * hidden + i] ** 2 + up[c * hidden + i] ** 2 + down[i * ffnSize + c] ** 2
    }
    squares[c] = sum
  }
  return Uint32Array.from({ length: ffnSize }, (_, c) => c).sort((a, b) => squares[b] - squares[a] || a - b)
}

/** Rows `order[from..to)` of a [rows, columns] matrix. */
export function pickRows(
  matrix: Float32Array,
  columns: number,
  order: Uint32Array,
  from: number,
  to: number,
): Float32Array {
  const out = new Float32Array((to - from) * columns)
  for (let i = from; i < to; i++)
    out.set(matrix.subarray(order[i] * columns, (order[i] + 1) * columns), (i - from) * columns)
  return out
}

/** Columns `order[from..to)` of a [rows, columns] matrix. */
export function pickColumns(
  matrix: Float32Array,
  columns: number,
  order: Uint32Array,
  from: number,
  to: number,
): Float32Array {
  const rows = matrix.length / columns
  const width = to - from
  const out = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) out[row * width + i] = matrix[row * columns + order[from + i]]
  }
  return out
}
