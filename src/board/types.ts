/** What a board is, as data. Sources are named in each board's file; SI units throughout. */
export interface Board {
  readonly id: string
  readonly name: string
  /** Part numbers in the device tree's `compatible` list, most specific first (for example `p3701-0005`). */
  readonly partNumbers: readonly string[]
  /** Rails by their INA3221 label; `shuntOhm` and `busVolt` give the sensor's step (hardware.md §2.1). */
  readonly rails: readonly Rail[]
  readonly total: TotalRule
  readonly gpu: {
    /** Names of the devfreq device's device-tree node. */
    readonly nodeNames: readonly string[]
    /** Operating points in Hz, ascending. The board's own `available_frequencies` wins; this is the expectation. */
    readonly pointsHz: readonly number[]
  }
  readonly cpu: { readonly policies: readonly number[]; readonly maxHz: number; readonly minHz: number }
  /** Smallest and largest budget in watts that makes sense; the default for a new install. */
  readonly budget: { readonly minWatts: number; readonly maxWatts: number; readonly defaultWatts: number }
  readonly trips: { readonly throttleCelsius: number; readonly shutdownCelsius: number }
  readonly model: PowerModel
}

export interface Rail {
  readonly label: string
  /** I2C address of its sensor and channel on it, for example `1-0040` channel 1. */
  readonly device: string
  readonly channel: 1 | 2 | 3
  /** Nominal volts of the rail and watts of one sensor step. */
  readonly volts: number
  readonly stepWatts: number
  /** Idle watts of this rail, and its part (0..1) of the GPU, engine-busy and DRAM watts of the power model. */
  readonly idleWatts: number
  readonly gpuPart: number
  readonly busyPart: number
  readonly dramPart: number
}

/** How the module's power follows from its rails. The name is shown beside every total. */
export interface TotalRule {
  readonly name: string
  readonly rails: readonly string[]
}

/**
 * Priors of the power and time model (hardware.md §4.5, §4.6), ±40 % until calibrated:
 * P = idle + k·SM·f·Vr(f)²·activity·busy + dramJoulesPerByte·bytes/s, Vr = 1 up to f0 and then 1 + s·(f/f0 − 1);
 * a decode step takes ((bytes/BWc)^p + (bytes/BWm)^p)^(1/p) with BWc = beta·SM·f, prefill flops/(efficiency·peak).
 */
export interface PowerModel {
  readonly idleWatts: number
  readonly smCount: number
  readonly wattsPerSmGhz: number
  readonly kneeHz: number
  readonly voltSlope: number
  readonly decodeActivity: number
  readonly prefillActivity: number
  /** Extra watts of CPU and 5 V rail while the engine runs, whatever the GPU clock. */
  readonly cpuBusyWatts: number
  readonly dramJoulesPerByte: number
  /** Bytes per second per SM per GHz that the cores can take in. */
  readonly coreBytesPerSmGhz: number
  /** Bytes per second the memory gives. */
  readonly memoryBytesPerSecond: number
  readonly rooflinePower: number
  readonly flopsPerSmGhz: number
  readonly prefillEfficiency: number
  readonly thermal: {
    readonly dieKelvinPerWatt: number
    readonly dieSeconds: number
    readonly sinkKelvinPerWatt: number
    readonly sinkSeconds: number
  }
}
