import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { PowerModel } from '../board/types.ts'
import { DeapdError, detailOf } from '../errors.ts'

const Parameters = Type.Object({
  idle_watts: Type.Number(),
  active_watts: Type.Number(),
  cpu_watts_per_core_ghz: Type.Number(),
  host_seconds: Type.Number(),
  volt_slope: Type.Number(),
  decode_activity: Type.Number(),
  prefill_activity: Type.Number(),
  dram_joules_per_byte: Type.Number(),
  core_bytes_per_sm_ghz: Type.Number(),
  memory_bytes_per_second: Type.Number(),
  prefill_efficiency: Type.Number(),
})

/** calibration.json in the state folder: what `deapd calibrate` learned of this board with this model. */
export const Calibration = Type.Object({
  schema: Type.Literal('deapd-calibration/1'),
  board: Type.String(),
  simulated: Type.Boolean(),
  /** Package, and what it stands for on a simulated board. */
  model: Type.String(),
  /** ISO 8601. */
  date: Type.String(),
  sensor: Type.String(),
  cells: Type.Integer(),
  parameters: Parameters,
  /** 95 % half-widths by figure; null where the fit cannot say. */
  figures: Type.Record(
    Type.String(),
    Type.Object({ value: Type.Number(), half_width: Type.Union([Type.Number(), Type.Null()]) }),
  ),
  quality: Type.Object({
    power_r_squared: Type.Number(),
    time_r_squared: Type.Number(),
    largest_power_error: Type.Number(),
    largest_time_error: Type.Number(),
  }),
  energy_priors: Type.Object({
    joules_per_byte: Type.Number(),
    joules_per_flop: Type.Number(),
    static_watts: Type.Number(),
    elasticity: Type.Union([Type.Number(), Type.Null()]),
    r_squared: Type.Number(),
  }),
})
export type Calibration = Static<typeof Calibration>

const fileName = 'calibration.json'

export function parametersOf(model: PowerModel): Calibration['parameters'] {
  return {
    idle_watts: model.idleWatts,
    active_watts: model.activeWatts,
    cpu_watts_per_core_ghz: model.cpu.wattsPerCoreGhz,
    host_seconds: model.cpu.hostSeconds,
    volt_slope: model.voltSlope,
    decode_activity: model.decodeActivity,
    prefill_activity: model.prefillActivity,
    dram_joules_per_byte: model.dramJoulesPerByte,
    core_bytes_per_sm_ghz: model.coreBytesPerSmGhz,
    memory_bytes_per_second: model.memoryBytesPerSecond,
    prefill_efficiency: model.prefillEfficiency,
  }
}

/** The board's model with the calibrated figures in place of its priors. */
export function calibratedModel(prior: PowerModel, { parameters }: Calibration): PowerModel {
  return {
    ...prior,
    idleWatts: parameters.idle_watts,
    activeWatts: parameters.active_watts,
    cpu: {
      ...prior.cpu,
      wattsPerCoreGhz: parameters.cpu_watts_per_core_ghz,
      hostSeconds: parameters.host_seconds,
    },
    voltSlope: parameters.volt_slope,
    decodeActivity: parameters.decode_activity,
    prefillActivity: parameters.prefill_activity,
    dramJoulesPerByte: parameters.dram_joules_per_byte,
    coreBytesPerSmGhz: parameters.core_bytes_per_sm_ghz,
    memoryBytesPerSecond: parameters.memory_bytes_per_second,
    prefillEfficiency: parameters.prefill_efficiency,
  }
}

/** What the calibration must have been made with to be used. */
export type CalibrationKey = Pick<Calibration, 'board' | 'simulated' | 'model'>

/**
 * The stored calibration for this board and model, or for any model where none is named, or why the priors hold. Never throws: a
 * damaged file is no calibration.
 */
export function readCalibration(
  folder: string,
  key: Pick<CalibrationKey, 'board'> & Partial<CalibrationKey>,
): { readonly calibration: Calibration | null; readonly why: string } {
  let data: unknown
  try {
    data = JSON.parse(readFileSync(join(folder, fileName), 'utf8'))
  } catch (thrown) {
    const missing = (thrown as NodeJS.ErrnoException).code === 'ENOENT'
    return { calibration: null, why: missing ? 'not calibrated' : `${fileName} cannot be read: ${detailOf(thrown)}` }
  }
  if (!Value.Check(Calibration, data)) return { calibration: null, why: `${fileName} is not a calibration` }
  const { board, simulated, model, date, quality } = data
  const differs = { simulated, model, ...key }
  if (board !== key.board || simulated !== differs.simulated || model !== differs.model) {
    return { calibration: null, why: `the calibration is of ${board}${simulated ? ', simulated,' : ''} with ${model}` }
  }
  const why = `calibrated ${date.slice(0, 10)}, R² ${quality.power_r_squared.toFixed(3)}`
  return { calibration: data, why }
}

/** Writes it whole or not at all. Throws `state_unwritable`. */
export function writeCalibration(folder: string, calibration: Calibration): string {
  const path = join(folder, fileName)
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${path}.new`, `${JSON.stringify(calibration, null, 2)}\n`)
    renameSync(`${path}.new`, path)
    return path
  } catch (error) {
    throw new DeapdError('state_unwritable', { path: folder, detail: detailOf(error) }, error)
  }
}
