import type { Board } from '../types.ts'
import { orinNx16gb } from './orin-nx-16gb.ts'
import { orinNx16gbSuper } from './orin-nx-16gb-super.ts'

/**
 * Jetson Orin NX 8GB (p3767-0001): the NX 16GB with 6 cores, half the memory and the GPU up to 765 MHz (hardware.md board
 * map; 765 MHz and 8 SM are data-sheet knowledge that was not looked up). Power priors are the NX 16GB's, assumed.
 */
export const orinNx8gb = {
  ...orinNx16gb,
  id: 'orin-nx-8gb',
  name: 'Jetson Orin NX 8GB',
  partNumbers: ['p3767-0001'],
  gpu: {
    nodeNames: ['gpu', 'ga10b'],
    pointsHz: [306_000_000, 408_000_000, 510_000_000, 612_000_000, 714_000_000, 765_000_000],
  },
  cpu: { cores: 6, policies: [0, 4], minHz: 729_600_000, maxHz: 1_984_000_000 },
  budget: { minWatts: 8, maxWatts: 20, defaultWatts: 15 },
} as const satisfies Board

/** With the Super firmware: GPU up to 1173 MHz and 40 W modes (§3.5); its list of points was not seen (§8.3), assumed. */
export const orinNx8gbSuper = {
  ...orinNx8gb,
  id: 'orin-nx-8gb-super',
  name: 'Jetson Orin NX 8GB Super',
  firmware: 'Super',
  gpu: orinNx16gbSuper.gpu,
  budget: { minWatts: 8, maxWatts: 40, defaultWatts: 25 },
} as const satisfies Board
