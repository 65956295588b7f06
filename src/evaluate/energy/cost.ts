import { modelInMode, type PowerMode } from '../../board/power-modes.ts'
import type { Board, PowerModel } from '../../board/types.ts'
import { type ModelCost, stepWork, type Work, workSeconds, workWatts } from '../../board/work.ts'

/** One run of the network: one row, or one and the drafted tokens it verifies. */
export interface Run {
  readonly level: number
  readonly rows: number
  /** Tokens in the cache before it. */
  readonly contextTokens: number
}

export interface Clocks {
  readonly gpuHz: number
  readonly cpuHz: number
}

/** The clocks a mode allows and what runs at them cost. Joules are the whole module's, idle watts included. */
export interface Setting {
  readonly model: PowerModel
  readonly prefill: Clocks
  /** Clocks of a decoding run, by level. */
  readonly decode: (level: number) => Clocks
}

export interface Cost {
  readonly seconds: number
  readonly joules: number
}

export function costAt(model: PowerModel, { gpuHz, cpuHz }: Clocks, work: Work): Cost {
  const seconds = workSeconds(model, gpuHz, work, cpuHz)
  return { seconds, joules: seconds * (model.idleWatts + workWatts(model, gpuHz, work, cpuHz)) }
}

export const decodeWork = (cost: ModelCost, { level, rows, contextTokens }: Run): Work =>
  stepWork(cost, { phase: 'decode', level, tokens: rows, contextTokens })

export const prefillWork = (cost: ModelCost, promptTokens: number): Work =>
  stepWork(cost, { phase: 'prefill', level: cost.weightBytes.length - 1, tokens: promptTokens, contextTokens: 0 })

/** Everything at the caps of the mode: what a board does under load when nobody chooses clocks. */
export function cappedSetting(board: Board, mode: PowerMode): Setting {
  const { gpuHz, cpuHz } = mode
  const clocks = { gpuHz, cpuHz }
  return { model: modelInMode(board.model, board, mode), prefill: clocks, decode: () => clocks }
}

/** What the governor aims for by default: seconds per token, and until the first one. */
const targets = { decodeSeconds: 0.05, prefillSeconds: 2 }
/** A typical place in an answer, for choosing clocks; they hardly depend on it. */
const typical = { contextTokens: 200, promptTokens: 160 }

/**
 * The clocks within a mode that take the fewest joules for each kind of run, among those that meet the governor's default
 * latency targets; where none does, the fastest. Chosen by the board's priors, whatever the truth may be.
 */
export function thriftySetting(board: Board, mode: PowerMode, cost: ModelCost): Setting {
  const model = modelInMode(board.model, board, mode)
  const grid = clockGrid(board, mode)
  const decode = cost.weightBytes.map((_, level) =>
    thriftiest(model, grid, decodeWork(cost, { level, rows: 1, ...typical }), targets.decodeSeconds),
  )
  const prefill = thriftiest(model, grid, prefillWork(cost, typical.promptTokens), targets.prefillSeconds)
  return { model, prefill, decode: (level) => decode[level] }
}

/** No targets and no mode: the least the whole board could have spent on the same work. */
export function idealSetting(board: Board, cost: ModelCost): Setting {
  const { model, gpu, cpu } = board
  const grid = clockGrid(board, { gpuHz: gpu.pointsHz[gpu.pointsHz.length - 1], cpuHz: cpu.maxHz })
  const decode = cost.weightBytes.map((_, level) =>
    thriftiest(model, grid, decodeWork(cost, { level, rows: 1, ...typical }), Number.POSITIVE_INFINITY),
  )
  const work = prefillWork(cost, typical.promptTokens)
  return { model, prefill: thriftiest(model, grid, work, Number.POSITIVE_INFINITY), decode: (level) => decode[level] }
}

/** Every GPU point within the mode, with eight CPU clocks from the lowest to its cap. */
function clockGrid({ gpu, cpu }: Board, mode: Pick<PowerMode, 'gpuHz' | 'cpuHz'>): Clocks[] {
  const cpuPoints = Array.from({ length: 8 }, (_, i) => cpu.minHz + ((mode.cpuHz - cpu.minHz) * i) / 7)
  return gpu.pointsHz.filter((hz) => hz <= mode.gpuHz).flatMap((gpuHz) => cpuPoints.map((cpuHz) => ({ gpuHz, cpuHz })))
}

function thriftiest(model: PowerModel, grid: readonly Clocks[], work: Work, mostSeconds: number): Clocks {
  const costs = grid.map((clocks) => ({ clocks, ...costAt(model, clocks, work) }))
  const punctual = costs.filter(({ seconds }) => seconds <= mostSeconds)
  const best =
    punctual.length > 0
      ? punctual.reduce((a, b) => (b.joules < a.joules ? b : a))
      : costs.reduce((a, b) => (b.seconds < a.seconds ? b : a))
  return best.clocks
}
