import type { Groups } from './groups.ts'
import { groupNumber } from './groups.ts'
import type { GroupErrors, GroupSums, LayerMeans, LayerSums, Network } from './network.ts'
import { growing } from './passes.ts'
import type { WeightStream } from './weights.ts'

/** What tokens of a layer's groups have in common. */
export interface Moments {
  /** μ, [groups, size]. */
  readonly means: Float32Array
  /** Σ = E[h hᵀ] − μ μᵀ, [groups, size, size]. */
  readonly covariance: Float32Array
}

/** The covariance lies in `room`: the next one replaces it. */
export function momentsOf({ groups, size, sum, products }: GroupSums, tokens: number, room = growing()): Moments {
  const means = Float32Array.from(sum, (value) => value / tokens)
  const covariance = room(products.length)
  for (let g = 0; g < groups; g++) {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        const at = (g * size + i) * size + j
        covariance[at] = products[at] / tokens - (sum[g * size + i] / tokens) * (sum[g * size + j] / tokens)
      }
    }
  }
  return { means, covariance }
}

export interface Fluctuations {
  /** tr(W Σ Wᵀ) by group number. */
  readonly errors: Float64Array
  readonly means: readonly LayerMeans[]
  /** Diagonal of Σ times the squared length of the column of W, layer by layer, in the order of the channels. */
  readonly channels: readonly { readonly heads: Float32Array; readonly mlp: Float32Array }[]
}

/** Block-exact fluctuations of all groups from sums over tokens, one layer at a time. */
export function fluctuations(
  groups: Groups,
  network: Network,
  weights: WeightStream,
  sums: readonly LayerSums[],
): Fluctuations {
  const errors = new Float64Array(groups.all.length)
  const room = growing()
  const both = sums.map((layerSums, layer) => {
    const loaded = weights.layer(layer)
    const part = (kind: 'heads' | 'mlp') => {
      const moments = momentsOf(layerSums[kind], layerSums.tokens, room)
      const matrix = kind === 'mlp' ? loaded.down : loaded.o
      const found = network.errors(matrix, moments.covariance, moments.means, layerSums[kind].groups)
      for (const [index, error] of found.errors.entries())
        errors[groupNumber(groups, layer, kind, index)] = Math.max(0, error)
      return { means: moments.means, channels: ofChannels(layerSums[kind], moments, found) }
    }
    return { heads: part('heads'), mlp: part('mlp') }
  })
  return {
    errors,
    means: both.map(({ heads, mlp }) => ({ heads: heads.means, mlp: mlp.means })),
    channels: both.map(({ heads, mlp }) => ({ heads: heads.channels, mlp: mlp.channels })),
  }
}

function ofChannels({ size }: GroupSums, { covariance }: Moments, { squares }: GroupErrors): Float32Array {
  return squares.map((square, at) => square * Math.max(0, covariance[at * size + (at % size)]))
}
