/** The attention kernel wants a multiple of 16: smaller heads are padded with zeros in each rotary half (DESIGN §6). */
export const cacheHeadSize = (headSize: number): number => Math.ceil(headSize / 16) * 16

/** Place of a true head channel in a padded head: each rotary half is padded on its own. */
const paddedIndex = (i: number, size: number, padded: number): number =>
  i < size / 2 ? i : padded / 2 + (i - size / 2)

/** Rows of a projection, one head after the other, with room for the padding. */
export function padHeads(
  matrix: Float32Array,
  heads: number,
  size: number,
  padded: number,
  columns: number,
): Float32Array {
  if (size === padded) return matrix
  const out = new Float32Array(heads * padded * columns)
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < size; i++) {
      const row = (h * size + i) * columns
      out.set(matrix.subarray(row, row + columns), (h * padded + paddedIndex(i, size, padded)) * columns)
    }
  }
  return out
}

/** Columns of the output projection, in the same places. */
export function padColumns(
  matrix: Float32Array,
  heads: number,
  size: number,
  padded: number,
  rows: number,
): Float32Array {
  if (size === padded) return matrix
  const out = new Float32Array(rows * heads * padded)
  for (let row = 0; row < rows; row++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < size; i++) {
        out[row * heads * padded + h * padded + paddedIndex(i, size, padded)] =
          matrix[row * heads * size + h * size + i]
      }
    }
  }
  return out
}
