import type { Board } from '../types.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'

/**
 * Jetson Orin NX 16GB (p3767-0000): the rails and shunts of the Orin Nano, 8 SM up to 918 MHz, memory at 102.4 GB/s
 * (hardware.md board map, §2.1, §3.1). Idle 4.3 to 4.6 W (§4.1).
 */
export const orinNx16gb = {
  ...orinNano8gb,
  id: 'orin-nx-16gb',
  name: 'Jetson Orin NX 16GB',
  partNumbers: ['p3767-0000'],
  rails: [
    { ...orinNano8gb.rails[0], idleWatts: 4.4 },
    { ...orinNano8gb.rails[1], idleWatts: 0.5 },
    { ...orinNano8gb.rails[2], idleWatts: 1.42 },
  ],
  gpu: {
    nodeNames: ['gpu', 'ga10b'],
    pointsHz: [306_000_000, 408_000_000, 510_000_000, 612_000_000, 714_000_000, 816_000_000, 918_000_000],
  },
  cpu: { cores: 8, policies: [0, 4], minHz: 729_600_000, maxHz: 1_984_000_000 },
  emc: { maxHz: 3_199_000_000, busBytes: 16 },
  budget: { minWatts: 8, maxWatts: 25, defaultWatts: 20 },
  model: {
    ...orinNano8gb.model,
    idleWatts: 4.4,
    cpu: { ...orinNano8gb.model.cpu, maxHz: 1_984_000_000 },
    memoryBytesPerSecond: 0.76 * 102.4e9,
    // The critical threshold of 7.784 A (hardware.md §2.2) at 5 V.
    overCurrentWatts: 38.9,
  },
} as const satisfies Board
