import type { Board, PowerModel } from '../board/types.ts'
import { type Work, workSeconds } from '../board/work.ts'
import { railWatts } from './parts.ts'
import { wattsOfWork } from './plant.ts'

/** A published figure of a real board beside what the model makes of the same case. Sources are sections of hardware.md. */
export interface PublishedRow {
  readonly what: string
  readonly unit: string
  readonly published: number
  readonly ours: number
  readonly source: string
  /** `fitted`: a parameter was set with this figure; `held out`: none was. */
  readonly use: 'fitted' | 'held out'
  /** What had to be assumed of the case, or why the model cannot know it. */
  readonly note: string
  readonly group: Group
}

/** The model stands for a 7B; what smaller language models make of the same kernels is shown apart. */
export type Group = '7 to 8 B' | 'smaller models' | 'the board'

/** What differs between kernels: bytes the cores take in, how much of the memory's peak is reached, and how busy the cores are. */
export interface Kernel {
  readonly coreBytesPerSmGhz: number
  readonly memoryShare: number
  readonly decodeActivity: number
}

export const llamacpp: Kernel = { coreBytesPerSmGhz: 9e9, memoryShare: 0.76, decodeActivity: 0.87 }
export const int4: Kernel = { ...llamacpp, coreBytesPerSmGhz: 10.2e9, decodeActivity: 0.68 }
export const mlc: Kernel = { coreBytesPerSmGhz: 12.6e9, memoryShare: 0.93, decodeActivity: 0.87 }
export const fp16: Kernel = { coreBytesPerSmGhz: 12.6e9, memoryShare: 0.86, decodeActivity: 0.5 }

/** Clocks and what a power mode leaves of the chip. */
export interface Mode {
  readonly gpuHz: number
  readonly cpuHz: number
  readonly peakBytesPerSecond: number
  readonly smCount: number
}

export const agxMax: Mode = { gpuHz: 1.3005e9, cpuHz: 2.2016e9, peakBytesPerSecond: 204.8e9, smCount: 16 }
export const nano15: Mode = { gpuHz: 612e6, cpuHz: 1.4976e9, peakBytesPerSecond: 68.3e9, smCount: 8 }
export const nanoModes: Readonly<Record<string, Mode>> = {
  '7W': { gpuHz: 408e6, cpuHz: 960e6, peakBytesPerSecond: 68.3e9, smCount: 4 },
  '15W': nano15,
  '25W': { gpuHz: 918e6, cpuHz: 1.344e9, peakBytesPerSecond: 102.4e9, smCount: 8 },
  MAXN_SUPER: { gpuHz: 1020e6, cpuHz: 1.728e9, peakBytesPerSecond: 102.4e9, smCount: 8 },
}

function modelOf(board: Board, kernel: Kernel, mode: Mode): PowerModel {
  const { memoryShare, ...cores } = kernel
  const memoryBytesPerSecond = memoryShare * mode.peakBytesPerSecond
  return { ...board.model, ...cores, memoryBytesPerSecond, smCount: mode.smCount }
}

/** Tokens per second, rails and module watts while one answer is decoded. */
export function decode(board: Board, kernel: Kernel, mode: Mode, gigabytes: number) {
  const model = modelOf(board, kernel, mode)
  const work: Work = { phase: 'decode', bytes: gigabytes * 1e9, flops: 0 }
  const rails = railWatts(board, wattsOfWork(model, mode, work))
  const watts = board.total.rails.reduce((sum, rail) => sum + rails[rail], 0)
  const tokensPerSecond = 1 / workSeconds(model, mode.gpuHz, work, mode.cpuHz)
  return { tokensPerSecond, rails, watts, joulesPerToken: watts / tokensPerSecond }
}

export const row = (
  use: PublishedRow['use'],
  source: string,
  what: string,
  unit: string,
  published: number,
  ours: number,
  note = '',
  group: Group = 'the board',
): PublishedRow => ({ what, unit, published, ours, source, use, note, group })

const largeGigabytes = 3

/** Narrow matrices and launches between small kernels keep a model of fewer bytes per token below the roofline. */
export const groupOf = (gigabytes: number): Group => (gigabytes > largeGigabytes ? '7 to 8 B' : 'smaller models')
