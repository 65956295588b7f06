import type { Board } from '../types.ts'
import { agxOrin64gb } from './agx-orin-64gb.ts'

/**
 * Jetson AGX Thor (p3834-0008): an INA238 at the board's input (`VIN`), which custom carriers may lack, and three rails of
 * an INA3221 (hardware.md §1.2, §2.1). CPU in clusters of two (their clocks differ by pairs in the corpus). GPU points in
 * steps of 105 MHz are assumed from clocks seen (314, 1574); power priors are Orin's with 20 SM, assumed, memory measured.
 */
export const agxThor = {
  id: 'agx-thor',
  name: 'Jetson AGX Thor',
  partNumbers: ['p3834-0008'],
  chip: 'tegra264',
  l4tMajor: 38,
  rails: [
    {
      label: 'VIN',
      device: '2-0044',
      chip: 'ina238',
      channel: 1,
      volts: 20,
      stepWatts: 0.025,
      // Idle 16.8 to 19.8 W (§4.1).
      idleWatts: 17,
      gpuPart: 1,
      cpuPart: 1,
      busyPart: 1,
      dramPart: 1,
    },
    {
      label: 'VDD_GPU',
      device: '2-0040',
      channel: 1,
      volts: 19.6,
      stepWatts: 0.392,
      idleWatts: 0,
      gpuPart: 1,
      cpuPart: 0,
      busyPart: 0,
      dramPart: 0,
    },
    {
      label: 'VDD_CPU_SOC_MSS',
      device: '2-0040',
      channel: 2,
      volts: 19.6,
      stepWatts: 0.392,
      idleWatts: 5.5,
      gpuPart: 0,
      cpuPart: 1,
      busyPart: 0,
      dramPart: 30 / 80,
    },
    {
      label: 'VIN_SYS_5V0',
      device: '2-0040',
      channel: 3,
      volts: 5,
      stepWatts: 0.1,
      idleWatts: 5,
      gpuPart: 0,
      cpuPart: 0,
      busyPart: 1,
      dramPart: 50 / 80,
    },
  ],
  total: {
    name: 'VIN',
    rails: ['VIN'],
    otherwise: { name: 'sum3', rails: ['VDD_GPU', 'VDD_CPU_SOC_MSS', 'VIN_SYS_5V0'] },
  },
  gpu: {
    nodeNames: ['gpu-gpc-0', 'gpu'],
    pointsHz: [
      315_000_000, 420_000_000, 525_000_000, 630_000_000, 735_000_000, 840_000_000, 945_000_000, 1_050_000_000,
      1_155_000_000, 1_260_000_000, 1_365_000_000, 1_470_000_000, 1_575_000_000,
    ],
  },
  cpu: { cores: 14, policies: [0, 2, 4, 6, 8, 10, 12], minHz: 972_000_000, maxHz: 2_601_000_000 },
  emc: { maxHz: 4_266_000_000, busBytes: 32 },
  // The modes are 70, 90, 120 W (default) and MAXN (§3.5).
  budget: { minWatts: 25, maxWatts: 130, defaultWatts: 120 },
  // GPU throttle alert 109 °C, critical 114.5 °C (§2.3).
  trips: { throttleCelsius: 109, shutdownCelsius: 114.5 },
  model: {
    ...agxOrin64gb.model,
    idleWatts: 17,
    smCount: 20,
    cpu: { ...agxOrin64gb.model.cpu, maxHz: 2_601_000_000 },
    // 257 of 273 GB/s read (§4.4).
    memoryBytesPerSecond: 0.94 * 273e9,
    // Dense FP16 of about 258 TFLOPS for 20 SM at 1.575 GHz: general knowledge, not looked up.
    flopsPerSmGhz: 8.2e12,
    thermal: { dieKelvinPerWatt: 0.08, dieSeconds: 3, sinkKelvinPerWatt: 0.3, sinkSeconds: 90 },
    overCurrentWatts: 160,
  },
} as const satisfies Board
