import type { Board } from '../types.ts'
import { orinNx16gb } from './orin-nx-16gb.ts'

/** Jetson Orin NX 16GB with the Super firmware of R36.4.3: GPU up to 1173 MHz, modes up to 40 W (hardware.md §3.1, §3.5). */
export const orinNx16gbSuper = {
  ...orinNx16gb,
  id: 'orin-nx-16gb-super',
  name: 'Jetson Orin NX 16GB Super',
  firmware: 'Super',
  gpu: {
    nodeNames: ['gpu', 'ga10b'],
    pointsHz: [
      306_000_000, 408_000_000, 510_000_000, 612_000_000, 714_000_000, 816_000_000, 918_000_000, 1_020_000_000,
      1_122_000_000, 1_173_000_000,
    ],
  },
  budget: { minWatts: 8, maxWatts: 40, defaultWatts: 40 },
} as const satisfies Board
