import type { Board } from '../types.ts'

/**
 * Jetson AGX Orin 64GB and the first AGX Orin developer kit (p3701-0000: 32 GB of memory but the full GPU).
 * Sources: hardware.md §1.2 (rails, total rule), §2.1 (shunts 2 mOhm), §3.1 (R35.3+/R36 points), §4.1, §4.3, §4.6.
 */
export const agxOrin64gb = {
  id: 'agx-orin-64gb',
  name: 'Jetson AGX Orin 64GB',
  // -0008 is the industrial module: the same rails, lower clocks, which are read from the board.
  partNumbers: ['p3701-0005', 'p3701-0000', 'p3701-0008'],
  chip: 'tegra234',
  l4tMajor: 36,
  // One shunt step is 20 mA (40 uV / 2 mOhm). Idle and parts: §4.6 "idle split", DRAM 30 of 80 pJ/B in GPU_SOC.
  rails: [
    {
      label: 'VDD_GPU_SOC',
      device: '1-0040',
      channel: 1,
      volts: 19.6,
      stepWatts: 0.392,
      idleWatts: 2.4,
      gpuPart: 1,
      cpuPart: 0,
      busyPart: 0,
      dramPart: 30 / 80,
    },
    {
      label: 'VDD_CPU_CV',
      device: '1-0040',
      channel: 2,
      volts: 19.6,
      stepWatts: 0.392,
      idleWatts: 0.4,
      gpuPart: 0,
      cpuPart: 1,
      busyPart: 0,
      dramPart: 0,
    },
    {
      label: 'VIN_SYS_5V0',
      device: '1-0040',
      channel: 3,
      volts: 5,
      stepWatts: 0.1,
      idleWatts: 4,
      gpuPart: 0,
      cpuPart: 0,
      busyPart: 1,
      dramPart: 50 / 80,
    },
    // Fed from the 5 V rail, so never part of the total (§1.2): adding it would count DRAM twice.
    {
      label: 'VDDQ_VDD2_1V8AO',
      device: '1-0041',
      channel: 2,
      volts: 5,
      stepWatts: 0.1,
      idleWatts: 0.5,
      gpuPart: 0,
      cpuPart: 0,
      // VIN_SYS_5V0 moves about 1.4 W with each of its watts (§1.2).
      busyPart: 1 / 1.4,
      dramPart: 24 / 80,
    },
  ],
  total: { name: 'sum3', rails: ['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0'] },
  gpu: {
    nodeNames: ['gpu', 'ga10b'],
    pointsHz: [
      306_000_000, 408_000_000, 510_000_000, 612_000_000, 714_000_000, 816_000_000, 918_000_000, 1_020_000_000,
      1_122_000_000, 1_224_000_000, 1_300_500_000,
    ],
  },
  cpu: { cores: 12, policies: [0, 4, 8], minHz: 729_600_000, maxHz: 2_201_600_000 },
  emc: { maxHz: 3_199_000_000, busBytes: 32 },
  budget: { minWatts: 15, maxWatts: 60, defaultWatts: 50 },
  trips: { throttleCelsius: 99, shutdownCelsius: 104.5 },
  model: {
    idleWatts: 6.8,
    smCount: 16,
    wattsPerSmGhz: 1.055,
    kneeHz: 650_000_000,
    voltSlope: 0.35,
    // int4 kernels of the TensorRT-LLM class (§4.6); dense prefill is taken to equal the stress maxima of §4.5.
    decodeActivity: 0.68,
    prefillActivity: 1,
    // The 5 V rail's active step of 1.9 W (§4.6).
    activeWatts: 1.9,
    cpu: {
      maxHz: 2_201_600_000,
      // Own fit of the CPU_CV stress maxima of §4.3 (15.2, 6.0, 5.6 and 1.6 W), idle 0.4 W, no railgated cluster.
      wattsPerCoreGhz: 0.27,
      kneeHz: 1_200_000_000,
      voltSlope: 0.52,
      // CPU_CV 1.9 W in decode (§4.3) against 0.4 W idle: 1.2 cores at 2.2 GHz.
      busyCores: 1.2,
      // GR3D 97 to 99 % while decoding (§4.6): about 2 % of a 25 ms step; its growth with a slower CPU is assumed.
      hostSeconds: 0.0005,
    },
    // Assumed: no leakage was published. 0.6 W at the 30 °C of an idle board, doubling in 46 K.
    leak: { watts: 0.6, referenceCelsius: 30, perKelvin: 0.015 },
    dramJoulesPerByte: 80e-12,
    // Between llama.cpp's 9.0 and the 12.6 of MLC (§4.6): a 3.41 GB token then takes 25.9 ms, as TinyChat measured.
    coreBytesPerSmGhz: 10.2e9,
    memoryBytesPerSecond: 0.76 * 204.8e9,
    rooflinePower: 2.5,
    flopsPerSmGhz: 2.05e12,
    prefillEfficiency: 0.4,
    // 0.5 K/W and 90 s in all, assumed (§4.6).
    thermal: { dieKelvinPerWatt: 0.1, dieSeconds: 3, sinkKelvinPerWatt: 0.4, sinkSeconds: 90 },
    // Assumed: speed between the active trips of 50 and 80 °C (§2.3), watts and exponent of a small axial fan.
    fan: { slowest: 0.3, fromCelsius: 50, toCelsius: 80, fullWatts: 4, coolingPower: 0.5 },
    // Assumed: above the 68 W that the stress maxima of §4.3 add up to.
    overCurrentWatts: 75,
  },
} as const satisfies Board
