import type { ModelCost } from '../board/work.ts'
import type { Engine } from '../engine/client.ts'
import type { Twin } from '../twin/board.ts'

/** Keeps the engine's pace in line with the simulated clocks; does nothing on a real board or without `--as-if`. */
export function paceKeeper(twin: Twin | null, cost: ModelCost, asIf: string, engine: Engine): () => void {
  let paced = { gpuHz: 0, cpuHz: 0 }
  return () => {
    if (!twin || asIf === 'none') return
    const now = { gpuHz: twin.gpuHz(), cpuHz: twin.cpuHz() }
    if (now.gpuHz === paced.gpuHz && now.cpuHz === paced.cpuHz) return
    paced = now
    engine.setPace(twin.pace(cost))
  }
}
