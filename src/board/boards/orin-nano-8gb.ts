import type { Board } from '../types.ts'

/**
 * Jetson Orin Nano 8GB without the Super firmware (memory at 2133 MHz, GPU up to 624.75 MHz).
 * Sources: hardware.md §1.2 (VDD_IN is the module; the others are parts of it), §2.1 (shunts 5 mOhm), §3.1, §4.6.
 */
export const orinNano8gb = {
  id: 'orin-nano-8gb',
  name: 'Jetson Orin Nano 8GB',
  partNumbers: ['p3767-0003', 'p3767-0005'],
  chip: 'tegra234',
  l4tMajor: 36,
  // One shunt step is 8 mA (40 uV / 5 mOhm): 40 mW at 5 V. Parts: §4.2 fits, 34 of 88 pJ/B in VDD_SOC.
  rails: [
    {
      label: 'VDD_IN',
      device: '1-0040',
      channel: 1,
      volts: 5,
      stepWatts: 0.04,
      idleWatts: 4.3,
      gpuPart: 1,
      cpuPart: 1,
      busyPart: 1,
      dramPart: 1,
    },
    {
      label: 'VDD_CPU_GPU_CV',
      device: '1-0040',
      channel: 2,
      volts: 5,
      stepWatts: 0.04,
      idleWatts: 0.45,
      gpuPart: 1,
      cpuPart: 1,
      busyPart: 0,
      dramPart: 0,
    },
    {
      label: 'VDD_SOC',
      device: '1-0040',
      channel: 3,
      volts: 5,
      stepWatts: 0.04,
      idleWatts: 1.37,
      gpuPart: 0,
      cpuPart: 0,
      busyPart: 0.2 / 0.78,
      dramPart: 34 / 88,
    },
  ],
  total: { name: 'VDD_IN', rails: ['VDD_IN'] },
  gpu: { nodeNames: ['gpu', 'ga10b'], pointsHz: [306_000_000, 408_000_000, 510_000_000, 612_000_000, 624_750_000] },
  cpu: { cores: 6, policies: [0, 4], minHz: 729_600_000, maxHz: 1_510_400_000 },
  emc: { maxHz: 2_133_000_000, busBytes: 16 },
  budget: { minWatts: 7, maxWatts: 15, defaultWatts: 15 },
  trips: { throttleCelsius: 99, shutdownCelsius: 104.5 },
  model: {
    idleWatts: 4.3,
    smCount: 8,
    wattsPerSmGhz: 1.055,
    kneeHz: 650_000_000,
    voltSlope: 0.35,
    decodeActivity: 0.87,
    prefillActivity: 1,
    // The active step of 0.58 W in the rest and 0.2 W in VDD_SOC (§4.6).
    activeWatts: 0.78,
    cpu: {
      maxHz: 1_510_400_000,
      // One busy core at 1344 MHz is 0.55 W (§4.6); the shape of the voltage is the AGX's, assumed.
      wattsPerCoreGhz: 0.36,
      kneeHz: 1_200_000_000,
      voltSlope: 0.52,
      busyCores: 1,
      // GR3D 97 to 99 % while decoding (§4.6): about 2 % of the steps of §4.2.
      hostSeconds: 0.0005,
    },
    // Assumed: no leakage was published. 0.2 W at the 35 °C of an idle board, doubling in 46 K.
    leak: { watts: 0.2, referenceCelsius: 35, perKelvin: 0.015 },
    dramJoulesPerByte: 88e-12,
    coreBytesPerSmGhz: 9e9,
    memoryBytesPerSecond: 0.76 * 68.3e9,
    rooflinePower: 2.5,
    flopsPerSmGhz: 2.05e12,
    prefillEfficiency: 0.35,
    // 2.4 K/W with a slow fan, time constant 90 to 120 s; the die follows at 0.2 K/W (§4.6).
    thermal: { dieKelvinPerWatt: 0.2, dieSeconds: 2, sinkKelvinPerWatt: 2.2, sinkSeconds: 100 },
    // Assumed, as on the AGX; the fan of the developer kit is smaller.
    fan: { slowest: 0.3, fromCelsius: 50, toCelsius: 80, fullWatts: 1.5, coolingPower: 0.5 },
    // The critical threshold of 4.05 A (§2.2) at 5 V.
    overCurrentWatts: 20.25,
  },
} as const satisfies Board
