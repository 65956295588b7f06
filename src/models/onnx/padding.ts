import { type Matrix, pickColumns, pickRows } from './matrix.ts'

/** The attention kernel wants a multiple of 16: smaller heads are padded with zeros in each rotary half (DESIGN §6). */
export const cacheHeadSize = (headSize: number): number => Math.ceil(headSize / 16) * 16

/** Where each channel of `heads` padded heads comes from, −1 for padding: each rotary half is padded on its own. */
function paddedIndex(heads: number, size: number, padded: number): Int32Array {
  const half = size / 2
  return Int32Array.from({ length: heads * padded }, (_, i) => {
    const channel = i % (padded / 2)
    if (channel >= half) return -1
    return Math.floor(i / padded) * size + (i % padded < padded / 2 ? 0 : half) + channel
  })
}

/** Rows of a projection, one head after the other, with room for the padding. */
export const padHeads = (matrix: Matrix, heads: number, size: number, padded: number): Matrix =>
  size === padded ? matrix : pickRows(matrix, paddedIndex(heads, size, padded))

/** Columns of the output projection, in the same places. */
export const padColumns = (matrix: Matrix, heads: number, size: number, padded: number): Matrix =>
  size === padded ? matrix : pickColumns(matrix, paddedIndex(heads, size, padded))
