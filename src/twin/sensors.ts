import type { Board, Rail } from '../board/types.ts'
import { normal } from './noise.ts'

/** What the INA3221 shows for one rail: whole millivolts in its 8 mV steps, milliamperes in steps of the shunt. */
export interface RailSample {
  readonly label: string
  readonly millivolts: number
  readonly milliamperes: number
}

/** Deviation of one current sample before it is rounded to the step. */
const noiseShare = 0.003
const busStepMillivolts = 8

export function sampleRails(
  board: Board,
  watts: Readonly<Record<string, number>>,
  random: () => number,
  /** Of a sensor that shows too much or too little. */
  gain = 1,
): readonly RailSample[] {
  return board.rails.map((rail) => sampleRail(rail, gain * (watts[rail.label] ?? rail.idleWatts), random))
}

function sampleRail(rail: Rail, watts: number, random: () => number): RailSample {
  const millivolts = Math.round((rail.volts * 1000) / busStepMillivolts) * busStepMillivolts
  const step = (rail.stepWatts / rail.volts) * 1000
  const milliamperes = ((Math.max(0, watts) * (1 + noiseShare * normal(random))) / millivolts) * 1e6
  return { label: rail.label, millivolts, milliamperes: Math.round(Math.round(milliamperes / step) * step) }
}

/** Watts per rail, as an adapter reads them. */
export function sampledWatts(samples: readonly RailSample[]): Readonly<Record<string, number>> {
  return Object.fromEntries(samples.map((row) => [row.label, (row.millivolts * row.milliamperes) / 1e6]))
}

/** Zone temperatures around the junction's, as far apart as in real captures (a few kelvin). */
export function sampleZones(tjCelsius: number): Readonly<Record<string, number>> {
  return {
    'cpu-thermal': tjCelsius - 0.6,
    'gpu-thermal': tjCelsius,
    'soc0-thermal': tjCelsius - 2.1,
    'soc1-thermal': tjCelsius - 1.2,
    'soc2-thermal': tjCelsius - 3,
    'tj-thermal': tjCelsius,
  }
}
