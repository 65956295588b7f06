import type { Board } from '../board/types.ts'
import { type CalibrationKey, calibratedModel, readCalibration } from '../store/calibration.ts'
import type { Platform } from './platform.ts'

/** Package, and on a simulated board the model it stands for: what a calibration is made with and good for. */
export function calibrationKey(platform: Platform, modelId: string, asIf: string): CalibrationKey {
  const { board, simulated } = platform
  return { board: board.id, simulated, model: simulated && asIf !== 'none' ? `${modelId} as ${asIf}` : modelId }
}

/** The board with the calibrated power model if there is one for it, and where its figures come from, in words. */
export function calibratedBoard(
  { board }: Platform,
  stateDir: string,
  key: CalibrationKey,
): { readonly board: Board; readonly powerModel: string } {
  const { calibration, why } = readCalibration(stateDir, key)
  if (calibration === null) return { board, powerModel: why }
  return { board: { ...board, model: calibratedModel(board.model, calibration) }, powerModel: why }
}
