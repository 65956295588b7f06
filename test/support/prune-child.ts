/** Prunes and kills itself, as a power cut would, in the third round. */
import { findBoard } from '../../src/board/boards/index.ts'
import { pruneCheckpoint } from '../../src/compress/prune.ts'

const [source, out, calibration] = process.argv.slice(2)
let rounds = 0
await pruneCheckpoint(source, out, {
  calibration,
  energy: { board: findBoard('agx-orin-64gb') },
  levels: 4,
  texts: 12,
  threads: 1,
  floorShare: 0.72,
  onStep: (_done, _total, what) => {
    if (what.startsWith('%') && ++rounds === 2) process.kill(process.pid, 'SIGKILL')
  },
})
