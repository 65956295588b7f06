import type { Board, PowerModel } from './types.ts'

/** A power mode as nvpmodel sets it: caps of the clocks, and parts of the chip that are off. */
export interface PowerMode {
  readonly name: string
  readonly gpuHz: number
  readonly cpuHz: number
  /** Streaming multiprocessors that are on. */
  readonly smCount: number
  readonly emcHz: number
}

/** Modes by board, lowest first (hardware.md §3.5; SM of the masks from §4.5). Modes are clock caps, not power caps. */
const modes: Readonly<Record<string, readonly PowerMode[]>> = {
  'agx-orin-64gb': [
    { name: '15W', gpuHz: 408_000_000, cpuHz: 1_113_600_000, smCount: 6, emcHz: 2_133_000_000 },
    { name: '30W', gpuHz: 612_000_000, cpuHz: 1_728_000_000, smCount: 8, emcHz: 3_199_000_000 },
    { name: '50W', gpuHz: 816_000_000, cpuHz: 1_497_600_000, smCount: 16, emcHz: 3_199_000_000 },
    { name: 'MAXN', gpuHz: 1_300_500_000, cpuHz: 2_201_600_000, smCount: 16, emcHz: 3_199_000_000 },
  ],
}

/** The modes of a board that we know; of any other, the one without caps. */
export function powerModesOf(board: Board): readonly PowerMode[] {
  const { gpu, cpu, emc, model } = board
  const gpuHz = gpu.pointsHz[gpu.pointsHz.length - 1]
  return modes[board.id] ?? [{ name: 'MAXN', gpuHz, cpuHz: cpu.maxHz, smCount: model.smCount, emcHz: emc.maxHz }]
}

/** The power and time model of a board in a mode; idle watts are taken to stay the same. */
export function modelInMode(model: PowerModel, { emc }: Pick<Board, 'emc'>, mode: PowerMode): PowerModel {
  return {
    ...model,
    smCount: mode.smCount,
    memoryBytesPerSecond: (model.memoryBytesPerSecond * mode.emcHz) / emc.maxHz,
  }
}
