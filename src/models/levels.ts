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

/**
 * Channel numbers by falling weight norm: those whose rows of gate and up and column of down weigh most come first. Takes
 * the sums of squares per channel.
 */
export function orderByNorm(gateRows: Float64Array, upRows: Float64Array, downColumns: Float64Array): Int32Array {
  const sums = gateRows.map((square, c) => square + upRows[c] + downColumns[c])
  return Int32Array.from(sums, (_, c) => c).sort((a, b) => sums[b] - sums[a] || a - b)
}
