import type { Board } from '../board/types.ts'

/** Watts above the idle figure, by what draws them; rails are made of these parts. */
export interface Parts {
  readonly leak: number
  readonly gpu: number
  readonly cpu: number
  readonly busy: number
  readonly dram: number
}

export const none: Parts = { leak: 0, gpu: 0, cpu: 0, busy: 0, dram: 0 }

/** Watts of each rail when the module draws these parts above idle. */
export function railWatts(board: Board, parts: Parts): Record<string, number> {
  return Object.fromEntries(
    board.rails.map((rail) => [
      rail.label,
      rail.idleWatts +
        rail.gpuPart * (parts.gpu + parts.leak) +
        rail.cpuPart * parts.cpu +
        rail.busyPart * parts.busy +
        rail.dramPart * parts.dram,
    ]),
  )
}

export function total(parts: Parts): number {
  return parts.leak + parts.gpu + parts.cpu + parts.busy + parts.dram
}

export function scaled(parts: Parts, factor: number): Parts {
  return {
    leak: parts.leak * factor,
    gpu: parts.gpu * factor,
    cpu: parts.cpu * factor,
    busy: parts.busy * factor,
    dram: parts.dram * factor,
  }
}

export function plus(a: Parts, b: Parts): Parts {
  return {
    leak: a.leak + b.leak,
    gpu: a.gpu + b.gpu,
    cpu: a.cpu + b.cpu,
    busy: a.busy + b.busy,
    dram: a.dram + b.dram,
  }
}
