import type { Board } from '../types.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'

/**
 * Jetson Orin Nano 8GB with the Super firmware of R36.4.3: GPU up to 1020 MHz, CPU to 1728 MHz, memory at 3199 MHz, 25 W mode
 * (hardware.md board map, §3.1, §3.3, §3.5).
 */
export const orinNano8gbSuper = {
  ...orinNano8gb,
  id: 'orin-nano-8gb-super',
  name: 'Jetson Orin Nano 8GB Super',
  firmware: 'Super',
  gpu: {
    nodeNames: ['gpu', 'ga10b'],
    pointsHz: [
      306_000_000, 408_000_000, 510_000_000, 612_000_000, 714_000_000, 816_000_000, 918_000_000, 1_020_000_000,
    ],
  },
  cpu: { cores: 6, policies: [0, 4], minHz: 729_600_000, maxHz: 1_728_000_000 },
  emc: { maxHz: 3_199_000_000, busBytes: 16 },
  budget: { minWatts: 7, maxWatts: 25, defaultWatts: 25 },
  model: {
    ...orinNano8gb.model,
    cpu: { ...orinNano8gb.model.cpu, maxHz: 1_728_000_000 },
    memoryBytesPerSecond: 0.76 * 102.4e9,
    // Assumed: room for the 25 W mode. MAXN_SUPER trips OC3 in bursts (§2.2).
    overCurrentWatts: 27,
  },
} as const satisfies Board
