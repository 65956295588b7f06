import type { LayerLevels } from '../models/levels.ts'
import type { Shifts } from '../models/onnx/shifts.ts'
import type { LlamaShape } from '../models/source/config.ts'
import { type Groups, groupNumber, type Subnet } from './groups.ts'
import type { LayerMeans, Network } from './network.ts'
import { growing } from './passes.ts'
import type { WeightStream } from './weights.ts'

/** How many levels keep each group: nested levels keep what any smaller one does. */
const keptBy = (levels: readonly Subnet[], group: number): number =>
  levels.reduce((sum, subnet) => sum + subnet[group], 0)

/** What nested sub-networks, from the smallest to the full one, mean for each layer of the package. */
export function layerLevelsOf(
  { ffnSize, kvHeads, layers }: LlamaShape,
  groups: Groups,
  levels: readonly Subnet[],
  channels: readonly Int32Array[],
): LayerLevels[] {
  const { chunkChannels, chunks } = groups
  return Array.from({ length: layers }, (_, layer): LayerLevels => {
    const ordered = (kind: 'heads' | 'mlp', count: number): number[] => {
      const kept = Array.from({ length: count }, (_, i) => keptBy(levels, groupNumber(groups, layer, kind, i)))
      return [...kept.keys()].sort((a, b) => kept[b] - kept[a] || a - b)
    }
    const count = (kind: 'heads' | 'mlp', subnet: Subnet, order: readonly number[]): number[] =>
      order.filter((index) => subnet[groupNumber(groups, layer, kind, index)] === 1)
    const byChunk = ordered('mlp', chunks)
    const widthOf = (chunk: number): number => Math.min(chunkChannels, ffnSize - chunk * chunkChannels)
    const byHead = ordered('heads', kvHeads)
    return {
      channels: Int32Array.from(
        byChunk.flatMap((chunk) => [
          ...channels[layer].subarray(chunk * chunkChannels, chunk * chunkChannels + widthOf(chunk)),
        ]),
      ),
      widths: levels.map((subnet) => count('mlp', subnet, byChunk).reduce((sum, chunk) => sum + widthOf(chunk), 0)),
      groups: Int32Array.from(byHead),
      counts: levels.map((subnet) => count('heads', subnet, byHead).length),
    }
  })
}

/** What each level's own segments leave behind when they are off: W μ of their groups, from the weights as they are rounded. */
export function shiftsOf(
  { hiddenSize, layers }: LlamaShape,
  groups: Groups,
  levels: readonly Subnet[],
  means: readonly LayerMeans[],
  network: Network,
  weights: WeightStream,
): Shifts {
  const row = 2 * layers * hiddenSize
  const data = new Float32Array((levels.length - 1) * row)
  const nothing = growing()
  for (let layer = 0; layer < layers; layer++) {
    const loaded = weights.layer(layer)
    for (const [part, kind] of (['heads', 'mlp'] as const).entries()) {
      const count = kind === 'mlp' ? groups.chunks : groups.perLayer - groups.chunks
      const own = means[layer][kind]
      const size = own.length / count
      const matrix = kind === 'mlp' ? loaded.down : loaded.o
      const { bias } = network.errors(matrix, nothing(count * size * size), own, count)
      for (let index = 0; index < count; index++) {
        const level = levels.length - keptBy(levels, groupNumber(groups, layer, kind, index))
        if (level === 0) continue
        const into = (level - 1) * row + (2 * layer + part) * hiddenSize
        for (let i = 0; i < hiddenSize; i++) data[into + i] += bias[index * hiddenSize + i]
      }
    }
  }
  return { levels: levels.length, data }
}
