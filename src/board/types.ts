/** What a board is, as data. Sources are named in each board's file; SI units throughout. */
export interface Board {
  readonly id: string
  readonly name: string
  /** Part numbers in the device tree's `compatible` list, most specific first (for example `p3701-0005`). */
  readonly partNumbers: readonly string[]
  /** The module with another firmware, which raises its clocks: rows of one part number are told apart by their GPU points. */
  readonly firmware?: 'Super'
  readonly chip: 'tegra194' | 'tegra234' | 'tegra264' | 'none'
  /** Newest major L4T release for it in our sources. */
  readonly l4tMajor: number
  /** Rails by their INA3221 label; `shuntOhm` and `busVolt` give the sensor's step (hardware.md §2.1). */
  readonly rails: readonly Rail[]
  readonly total: TotalRule
  readonly gpu: {
    /** Names of the devfreq device's device-tree node. */
    readonly nodeNames: readonly string[]
    /** Operating points in Hz, ascending. The board's own `available_frequencies` wins; this is the expectation. */
    readonly pointsHz: readonly number[]
  }
  /** Cores in clusters of four (Orin) or two, one clock policy a cluster, named after its first core. */
  readonly cpu: {
    readonly cores: number
    readonly policies: readonly number[]
    readonly maxHz: number
    readonly minHz: number
  }
  /** The memory clock, which deapd leaves alone; bytes a second are 2 · maxHz · busBytes. */
  readonly emc: { readonly maxHz: number; readonly busBytes: number }
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
  /** An INA3221 unless it says otherwise. */
  readonly chip?: 'ina238'
  /** Nominal volts of the rail and watts of one sensor step. */
  readonly volts: number
  readonly stepWatts: number
  /** Idle watts of this rail, and its part (0..1) of the GPU (with its leakage), CPU, active-step and DRAM watts of the model. */
  readonly idleWatts: number
  readonly gpuPart: number
  readonly cpuPart: number
  readonly busyPart: number
  readonly dramPart: number
}

/** How the module's power follows from its rails. The name is shown beside every total. */
export interface TotalRule {
  readonly name: string
  readonly rails: readonly string[]
  /** What holds on carriers without the sensor of the rule itself. */
  readonly otherwise?: { readonly name: string; readonly rails: readonly string[] }
}

/**
 * Priors of the power and time model (hardware.md §4.5, §4.6), ±40 % until calibrated:
 * P = idle + leak(Tj) + active + cpu(f_cpu) + k·SM·f·Vr(f)²·activity·u + dramJoulesPerByte·bytes/s, Vr = 1 up to the knee
 * and then 1 + s·(f/knee − 1); a decode step takes host(f_cpu) + ((bytes/BWc)^p + (bytes/BWm)^p)^(1/p) with BWc = beta·SM·f,
 * prefill flops/(efficiency·peak). u is the part of the step in which the GPU works.
 */
export interface PowerModel {
  /** Unlocked clocks, GPU railgated, at the leakage's reference temperature. */
  readonly idleWatts: number
  readonly smCount: number
  readonly wattsPerSmGhz: number
  readonly kneeHz: number
  readonly voltSlope: number
  readonly decodeActivity: number
  readonly prefillActivity: number
  /** Extra watts of the rails beside GPU and CPU while the engine runs, whatever the clocks. */
  readonly activeWatts: number
  readonly cpu: CpuModel
  readonly leak: LeakModel
  readonly dramJoulesPerByte: number
  /** Bytes per second per SM per GHz that the cores can take in. */
  readonly coreBytesPerSmGhz: number
  /** Bytes per second the memory gives. */
  readonly memoryBytesPerSecond: number
  readonly rooflinePower: number
  readonly flopsPerSmGhz: number
  readonly prefillEfficiency: number
  readonly thermal: ThermalModel
  readonly fan: FanModel
  /** Module watts at which the over-current monitor (OC3, instantaneous) trips and throttles. */
  readonly overCurrentWatts: number
}

/** P = busy cores · wattsPerCoreGhz · f · Vr(f)². */
export interface CpuModel {
  readonly maxHz: number
  readonly wattsPerCoreGhz: number
  readonly kneeHz: number
  readonly voltSlope: number
  /** Cores the engine keeps busy while a step runs: it launches kernels and waits for them. */
  readonly busyCores: number
  /** Seconds per step in which the GPU waits for the host, at `maxHz`; they grow as the CPU clock falls. */
  readonly hostSeconds: number
}

/** Static watts grow with temperature: watts · exp(perKelvin · (Tj − reference)), of which `idleWatts` holds the first. */
export interface LeakModel {
  readonly watts: number
  readonly referenceCelsius: number
  readonly perKelvin: number
}

/** Two nodes: the die over the heat sink, the heat sink over the air at the fan's slowest. */
export interface ThermalModel {
  readonly dieKelvinPerWatt: number
  readonly dieSeconds: number
  readonly sinkKelvinPerWatt: number
  readonly sinkSeconds: number
}

/** The fan is outside the module's power (hardware.md §1.2). Its speed rises from `slowest` (0..1) at `fromCelsius` to 1 at `toCelsius`. */
export interface FanModel {
  readonly slowest: number
  readonly fromCelsius: number
  readonly toCelsius: number
  /** Watts at full speed; they go with the cube of the speed. */
  readonly fullWatts: number
  /** The sink's resistance goes with speed to the minus this. */
  readonly coolingPower: number
}
