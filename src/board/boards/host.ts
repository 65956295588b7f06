import type { Board } from '../types.ts'
import { orinNano8gb } from './orin-nano-8gb.ts'

/**
 * A computer that is no Jetson, measured by its own instruments (`--sensor rapl`, `nvidia-smi` or `meter`). Not a row of the
 * table: it is never detected or simulated, and its clocks are left alone, so that levels and pauses alone hold the budget.
 * Every figure is assumed; the governor's correction learns the rest.
 */
export const host = {
  ...orinNano8gb,
  id: 'host',
  name: 'this computer',
  partNumbers: [],
  chip: 'none',
  l4tMajor: 0,
  // Stands for whichever instrument it is: 5 W of step and error, so that no joule figure looks exact.
  rails: [{ ...orinNano8gb.rails[0], label: 'INSTRUMENT', stepWatts: 5, idleWatts: 15 }],
  total: { name: 'instrument', rails: ['INSTRUMENT'] },
  gpu: { nodeNames: [], pointsHz: [1_000_000_000] },
  cpu: { cores: 1, policies: [], minHz: 1_000_000_000, maxHz: 3_000_000_000 },
  budget: { minWatts: 1, maxWatts: 1000, defaultWatts: 100 },
  model: { ...orinNano8gb.model, idleWatts: 15, cpu: { ...orinNano8gb.model.cpu, maxHz: 3_000_000_000 } },
} as const satisfies Board
