/**
 * Weight matrices that are not in memory: which tensor of the checkpoint they come from, and which rows and columns of it.
 * The graph is drawn from these alone; the values pass through in strips of rows when the weight file is filled.
 * All are [rows, columns], row-major, as `nn.Linear` keeps them: [outputs, inputs].
 */
export type Matrix = { readonly rows: number; readonly columns: number } & (
  | { readonly kind: 'tensor'; readonly name: string }
  | { readonly kind: 'rows' | 'columns'; readonly of: Matrix; readonly index: Int32Array }
  | { readonly kind: 'stack'; readonly of: readonly Matrix[] }
)

export const tensorMatrix = (name: string, rows: number, columns: number): Matrix => ({
  kind: 'tensor',
  name,
  rows,
  columns,
})

/** The rows named by `index`, in its order; −1 stands for a row of zeros. */
export const pickRows = (of: Matrix, index: Int32Array): Matrix => ({
  kind: 'rows',
  of,
  index,
  rows: index.length,
  columns: of.columns,
})

/** The columns named by `index`, in its order; −1 stands for a column of zeros. */
export const pickColumns = (of: Matrix, index: Int32Array): Matrix => ({
  kind: 'columns',
  of,
  index,
  rows: of.rows,
  columns: index.length,
})

/** Matrices of the same width, one below the other. */
export const stackRows = (of: readonly Matrix[]): Matrix => ({
  kind: 'stack',
  of,
  rows: of.reduce((sum, { rows }) => sum + rows, 0),
  columns: of[0].columns,
})

/** Gives rows [from, from + count) of a tensor of the checkpoint as float32, into the start of `into`. */
export type ReadRows = (name: string, from: number, count: number, into: Float32Array) => void

/** Computes rows [from, from + count) into the start of `into`. */
export function readMatrix(matrix: Matrix, from: number, count: number, into: Float32Array, read: ReadRows): void {
  readInto(matrix, from, count, into, read, 0)
}

/** Whole rows that columns are picked from, for each depth of picking: memory that is used again, because strips would be much garbage. */
const strips: Float32Array[] = []

function strip(depth: number, floats: number): Float32Array {
  if ((strips[depth]?.length ?? 0) < floats) strips[depth] = new Float32Array(floats)
  return strips[depth].subarray(0, floats)
}

function readInto(
  matrix: Matrix,
  from: number,
  count: number,
  into: Float32Array,
  read: ReadRows,
  depth: number,
): void {
  const { columns } = matrix
  const to = from + count
  switch (matrix.kind) {
    case 'tensor':
      return read(matrix.name, from, count, into)
    case 'rows':
      for (let row = from; row < to; ) {
        const end = runEnd(matrix.index, row, to)
        const part = into.subarray((row - from) * columns, (end - from) * columns)
        if (matrix.index[row] < 0) part.fill(0)
        else readInto(matrix.of, matrix.index[row], end - row, part, read, depth)
        row = end
      }
      return
    case 'columns': {
      const whole = strip(depth, count * matrix.of.columns)
      readInto(matrix.of, from, count, whole, read, depth + 1)
      for (let row = 0; row < count; row++) gather(whole, row * matrix.of.columns, matrix.index, into, row * columns)
      return
    }
    case 'stack': {
      let start = 0
      for (const part of matrix.of) {
        const [low, high] = [Math.max(from, start), Math.min(to, start + part.rows)]
        if (low < high) readInto(part, low - start, high - low, into.subarray((low - from) * columns), read, depth)
        start += part.rows
      }
    }
  }
}

/** The end of the run of consecutive rows (or rows of zeros) that begins at `row`. */
function runEnd(index: Int32Array, row: number, to: number): number {
  const step = index[row] < 0 ? 0 : 1
  let end = row + 1
  while (end < to && index[end] === index[end - 1] + step) end++
  return end
}

function gather(from: Float32Array, start: number, index: Int32Array, into: Float32Array, at: number): void {
  for (let i = 0; i < index.length; i++) into[at + i] = index[i] < 0 ? 0 : from[start + index[i]]
}

/** Rows per strip, so that a strip stays near 4 MB whatever the width. */
export const stripRows = (columns: number): number => Math.max(1, Math.floor((1 << 20) / columns))

/** Sums of squares along the rows and down the columns, from one pass over the matrix. */
export function squares(
  matrix: Matrix,
  read: ReadRows,
): { readonly rows: Float64Array; readonly columns: Float64Array } {
  const rows = new Float64Array(matrix.rows)
  const columns = new Float64Array(matrix.columns)
  const strip = new Float32Array(stripRows(matrix.columns) * matrix.columns)
  for (let from = 0; from < matrix.rows; from += stripRows(matrix.columns)) {
    const count = Math.min(stripRows(matrix.columns), matrix.rows - from)
    readMatrix(matrix, from, count, strip, read)
    for (let row = 0; row < count; row++) {
      let sum = 0
      for (let c = 0; c < matrix.columns; c++) {
        const value = strip[row * matrix.columns + c]
        const square = value * value
        sum += square
        columns[c] += square
      }
      rows[from + row] = sum
    }
  }
  return { rows, columns }
}
