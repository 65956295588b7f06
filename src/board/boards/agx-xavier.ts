import type { Board } from '../types.ts'
import { agxOrin64gb } from './agx-orin-64gb.ts'

/** A high-voltage rail: 8 mA steps of 40 uV / 5 mOhm at 19.3 V, as the corpus shows (multiples of 154 mW). */
const feed = { volts: 19.3, stepWatts: 0.154, gpuPart: 0, cpuPart: 0, busyPart: 0, dramPart: 0 } as const

/**
 * Jetson AGX Xavier (p2888): two INA3221, no input sensor, so the module is the sum of six rails (hardware.md §1.2, §7).
 * Rails idle as in the corpus (R32). GPU, CPU and bus figures are general knowledge that was not looked up; the power priors
 * are Orin's law with 8 Volta SM, assumed.
 */
export const agxXavier = {
  id: 'agx-xavier',
  name: 'Jetson AGX Xavier',
  partNumbers: ['p2888-0001', 'p2888-0004', 'p2888-0005', 'p2888-0006', 'p2972-0000'],
  chip: 'tegra194',
  l4tMajor: 35,
  rails: [
    { ...feed, label: 'GPU', device: '1-0040', channel: 1, idleWatts: 0.46, gpuPart: 1 },
    { ...feed, label: 'CPU', device: '1-0040', channel: 2, idleWatts: 0.62, cpuPart: 1 },
    { ...feed, label: 'SOC', device: '1-0040', channel: 3, idleWatts: 2.94, busyPart: 0.5, dramPart: 0.3 },
    { ...feed, label: 'CV', device: '1-0041', channel: 1, idleWatts: 0 },
    { ...feed, label: 'VDDRQ', device: '1-0041', channel: 2, idleWatts: 0.31, dramPart: 0.5 },
    {
      ...feed,
      label: 'SYS5V',
      device: '1-0041',
      channel: 3,
      volts: 5,
      stepWatts: 0.04,
      idleWatts: 3.3,
      busyPart: 0.5,
      dramPart: 0.2,
    },
  ],
  total: { name: 'sum6', rails: ['GPU', 'CPU', 'SOC', 'CV', 'VDDRQ', 'SYS5V'] },
  gpu: {
    nodeNames: ['gv11b'],
    pointsHz: [
      114_750_000, 216_750_000, 318_750_000, 420_750_000, 522_750_000, 624_750_000, 675_750_000, 828_750_000,
      905_250_000, 1_032_750_000, 1_198_500_000, 1_236_750_000, 1_338_750_000, 1_377_000_000,
    ],
  },
  cpu: { cores: 8, policies: [0, 2, 4, 6], minHz: 1_190_400_000, maxHz: 2_265_600_000 },
  emc: { maxHz: 2_133_000_000, busBytes: 32 },
  budget: { minWatts: 10, maxWatts: 40, defaultWatts: 30 },
  // General knowledge, not looked up; the zones' own trips count when they can be read.
  trips: { throttleCelsius: 86, shutdownCelsius: 96 },
  model: {
    ...agxOrin64gb.model,
    idleWatts: 7.63,
    smCount: 8,
    activeWatts: 1.5,
    cpu: { ...agxOrin64gb.model.cpu, maxHz: 2_265_600_000 },
    memoryBytesPerSecond: 0.76 * 136.5e9,
    flopsPerSmGhz: 1e12,
    overCurrentWatts: 60,
  },
} as const satisfies Board
