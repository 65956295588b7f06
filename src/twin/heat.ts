import type { FanModel, PowerModel } from '../board/types.ts'

export interface Heat {
  readonly sinkCelsius: number
  /** The die over the heat sink. */
  readonly dieKelvin: number
}

/** Two nodes: the heat sink over the ambient air, the die over the heat sink (hardware.md §4.6); exact for constant power. */
export function heated(
  before: Heat,
  { thermal, fan }: PowerModel,
  during: {
    readonly seconds: number
    readonly watts: number
    readonly fan: number
    readonly ambientCelsius: number
  },
): Heat {
  const toward = (from: number, to: number, tau: number): number => to + (from - to) * Math.exp(-during.seconds / tau)
  const cooling = (during.fan / fan.slowest) ** -fan.coolingPower
  const sinkKelvin = thermal.sinkKelvinPerWatt * cooling * during.watts
  return {
    // A fan that halves the resistance also halves the time constant: the heat capacity stays.
    sinkCelsius: toward(before.sinkCelsius, during.ambientCelsius + sinkKelvin, thermal.sinkSeconds * cooling),
    dieKelvin: toward(before.dieKelvin, thermal.dieKelvinPerWatt * during.watts, thermal.dieSeconds),
  }
}

/** Speed of the fan, `slowest` to 1, at this temperature. */
export function fanSpeed(fan: FanModel, tjCelsius: number): number {
  const warm = (tjCelsius - fan.fromCelsius) / (fan.toCelsius - fan.fromCelsius)
  return fan.slowest + (1 - fan.slowest) * Math.min(1, Math.max(0, warm))
}

export function fanWatts(fan: FanModel, speed: number): number {
  return fan.fullWatts * speed ** 3
}
