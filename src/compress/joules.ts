import type { Board, PowerModel } from '../board/types.ts'
import { type Work, workSeconds, workWatts } from '../board/work.ts'
import { asIfModels } from '../twin/as-if.ts'

/** What a decoded token costs on a board, by the bytes of weights it reads. */
export interface TokenEnergy {
  readonly board: string
  /** Where the figures of the board come from. */
  readonly source: string
  /** The clock of fewest joules, at which everything is counted. */
  readonly gpuHz: number
  /** The model that the small one stands for; null: its own bytes are counted. */
  readonly asIf: string | null
  readonly contextTokens: number
  /** Joules per decoded token, idle watts included: a request waits for it. */
  joules(weightBytes: number): number
}

export interface EnergyOptions {
  readonly board: Board
  /** The board's model with what was measured on it in place of the priors. */
  readonly power?: PowerModel
  readonly source?: string
  /** Stand for this model: its bytes in place of ours, level by level in proportion. Default: a 7B below 100 MB of weights. */
  readonly asIf?: string
}

/** Priors are good to this share (hardware.md §4.6). */
export const priorUncertainty = 0.4

/** Below this a Jetson's time per token is its host's, and bytes decide nothing. */
const smallBytes = 100e6

/** `fullBytes` and `weights` are the full network's; `contextTokens` is how much is in the cache on average. */
export function tokenEnergy(
  { board, power = board.model, source = 'priors of the board', asIf }: EnergyOptions,
  full: { readonly bytes: number; readonly weights: number; readonly kvBytesPerToken: number },
  contextTokens: number,
): TokenEnergy {
  const wanted = asIf ?? (full.bytes < smallBytes ? 'llama-2-7b' : 'none')
  const standIn = asIfModels.find(({ name }) => name === wanted)
  const scale = standIn ? standIn.weightBytes / full.bytes : 1
  const kvBytes = contextTokens * (standIn?.kvBytesPerContextToken ?? full.kvBytesPerToken)
  const flops = standIn?.flopsPerToken ?? 2 * full.weights
  const work = (bytes: number): Work => ({
    phase: 'decode',
    bytes: scale * bytes + kvBytes,
    flops: (flops * bytes) / full.bytes,
  })
  const at = (gpuHz: number, bytes: number): number =>
    workSeconds(power, gpuHz, work(bytes)) * (power.idleWatts + workWatts(power, gpuHz, work(bytes)))
  const gpuHz = board.gpu.pointsHz.reduce((best, hz) => (at(hz, full.bytes) < at(best, full.bytes) ? hz : best))
  return {
    board: board.id,
    source,
    gpuHz,
    asIf: standIn?.name ?? null,
    contextTokens,
    joules: (bytes) => at(gpuHz, bytes),
  }
}
