import type { Board } from '../types.ts'
import { agxXavier } from './agx-xavier.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'

/**
 * Jetson Xavier NX (p3668): VDD_IN and the rails of the Orin Nano (hardware.md §1.2, corpus xavier-nx-*), GPU up to
 * 1109 MHz and memory at 1866 MHz (§7). Points of GPU and CPU are general knowledge that was not looked up; idle 4 W from
 * the corpus (4.07 W at light load); the other power priors are assumed as on the AGX Xavier, with 6 SM.
 */
export const xavierNx = {
  ...orinNano8gb,
  id: 'xavier-nx',
  name: 'Jetson Xavier NX',
  partNumbers: ['p3668-0000', 'p3668-0001', 'p3668-0003'],
  chip: 'tegra194',
  l4tMajor: 35,
  rails: [
    { ...orinNano8gb.rails[0], idleWatts: 3.8 },
    { ...orinNano8gb.rails[1], idleWatts: 0.5 },
    { ...orinNano8gb.rails[2], idleWatts: 1.1 },
  ],
  gpu: {
    nodeNames: ['gv11b'],
    pointsHz: [
      114_750_000, 204_000_000, 306_000_000, 408_000_000, 510_000_000, 599_250_000, 701_250_000, 752_250_000,
      803_250_000, 854_250_000, 905_250_000, 956_250_000, 1_007_250_000, 1_058_250_000, 1_109_250_000,
    ],
  },
  cpu: { cores: 6, policies: [0, 2, 4], minHz: 1_190_400_000, maxHz: 1_907_200_000 },
  emc: { maxHz: 1_866_000_000, busBytes: 16 },
  budget: { minWatts: 7, maxWatts: 20, defaultWatts: 15 },
  trips: agxXavier.trips,
  model: {
    ...orinNano8gb.model,
    idleWatts: 3.8,
    smCount: 6,
    cpu: { ...orinNano8gb.model.cpu, maxHz: 1_907_200_000 },
    memoryBytesPerSecond: 0.76 * 59.7e9,
    flopsPerSmGhz: 1e12,
    overCurrentWatts: 25,
  },
} as const satisfies Board
