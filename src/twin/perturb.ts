import type { Board, PowerModel } from '../board/types.ts'
import { uniform } from './noise.ts'

/**
 * The board as it might really be: every measured or assumed coefficient of its model times a seeded factor in
 * [1 − error, 1 + error]. What is counted (SM, exponents, the knee, trip points) stays. Rails keep their parts of the idle watts.
 */
export function perturbed(board: Board, error: number, seed: number): Board {
  if (error === 0) return board
  const random = uniform(seed)
  const off = (value: number): number => value * (1 + error * (2 * random() - 1))
  const { model } = board
  const { cpu, leak, thermal } = model
  const really: PowerModel = {
    ...model,
    idleWatts: off(model.idleWatts),
    wattsPerSmGhz: off(model.wattsPerSmGhz),
    voltSlope: off(model.voltSlope),
    decodeActivity: off(model.decodeActivity),
    prefillActivity: off(model.prefillActivity),
    activeWatts: off(model.activeWatts),
    dramJoulesPerByte: off(model.dramJoulesPerByte),
    coreBytesPerSmGhz: off(model.coreBytesPerSmGhz),
    memoryBytesPerSecond: off(model.memoryBytesPerSecond),
    prefillEfficiency: off(model.prefillEfficiency),
    cpu: { ...cpu, wattsPerCoreGhz: off(cpu.wattsPerCoreGhz), hostSeconds: off(cpu.hostSeconds) },
    leak: { ...leak, watts: off(leak.watts) },
    thermal: {
      dieKelvinPerWatt: off(thermal.dieKelvinPerWatt),
      dieSeconds: off(thermal.dieSeconds),
      sinkKelvinPerWatt: off(thermal.sinkKelvinPerWatt),
      sinkSeconds: off(thermal.sinkSeconds),
    },
  }
  const idle = really.idleWatts / model.idleWatts
  const rails = board.rails.map((rail) => ({ ...rail, idleWatts: rail.idleWatts * idle }))
  return { ...board, rails, model: really }
}
