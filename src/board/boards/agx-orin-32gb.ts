import type { Board } from '../types.ts'
import { agxOrin64gb } from './agx-orin-64gb.ts'

/**
 * Jetson AGX Orin 32GB (p3701-0004): the same carrier, rails and sensors as the 64GB module, 14 SM, 8 cores, GPU up to
 * 930.75 MHz (hardware.md board map, §3.1). Idle 4.5 W is R36 headless in the 30 W mode (§4.1).
 */
export const agxOrin32gb = {
  ...agxOrin64gb,
  id: 'agx-orin-32gb',
  name: 'Jetson AGX Orin 32GB',
  partNumbers: ['p3701-0004'],
  rails: [
    { ...agxOrin64gb.rails[0], idleWatts: 2 },
    { ...agxOrin64gb.rails[1], idleWatts: 0 },
    { ...agxOrin64gb.rails[2], idleWatts: 2.5 },
    agxOrin64gb.rails[3],
  ],
  gpu: {
    nodeNames: ['gpu', 'ga10b'],
    pointsHz: [306_000_000, 408_000_000, 510_000_000, 612_000_000, 714_000_000, 816_000_000, 918_000_000, 930_750_000],
  },
  cpu: { cores: 8, policies: [0, 4], minHz: 729_600_000, maxHz: 2_201_600_000 },
  budget: { minWatts: 12, maxWatts: 40, defaultWatts: 30 },
  model: { ...agxOrin64gb.model, idleWatts: 4.5, smCount: 14 },
} as const satisfies Board
