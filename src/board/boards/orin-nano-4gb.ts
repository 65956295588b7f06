import type { Board } from '../types.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'
import { orinNano8gbSuper } from './orin-nano-8gb-super.ts'

const smCount = 4

/**
 * Jetson Orin Nano 4GB (p3767-0004): half the SMs and half the memory bus of the Nano 8GB (hardware.md board map; both are
 * data-sheet knowledge that was not looked up), 10 W and 7 W modes (§3.5). Idle 4.0 W is assumed from 4.43 W at light load
 * with the memory at 2133 MHz (corpus); the other power priors are the Nano 8GB's.
 */
export const orinNano4gb = {
  ...orinNano8gb,
  id: 'orin-nano-4gb',
  name: 'Jetson Orin Nano 4GB',
  partNumbers: ['p3767-0004'],
  rails: [{ ...orinNano8gb.rails[0], idleWatts: 4 }, orinNano8gb.rails[1], orinNano8gb.rails[2]],
  emc: { maxHz: 2_133_000_000, busBytes: 8 },
  budget: { minWatts: 6, maxWatts: 10, defaultWatts: 10 },
  model: { ...orinNano8gb.model, idleWatts: 4, smCount, memoryBytesPerSecond: 0.76 * 34.1e9 },
} as const satisfies Board

/** With the Super firmware: the clocks of the Nano 8GB Super, assumed (§8.3), and a 25 W mode (§3.5). */
export const orinNano4gbSuper = {
  ...orinNano4gb,
  id: 'orin-nano-4gb-super',
  name: 'Jetson Orin Nano 4GB Super',
  firmware: 'Super',
  gpu: orinNano8gbSuper.gpu,
  cpu: orinNano8gbSuper.cpu,
  emc: { maxHz: 3_199_000_000, busBytes: 8 },
  budget: { minWatts: 6, maxWatts: 25, defaultWatts: 10 },
  model: {
    ...orinNano8gbSuper.model,
    idleWatts: 4,
    smCount,
    memoryBytesPerSecond: 0.76 * 51.2e9,
  },
} as const satisfies Board
