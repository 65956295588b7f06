/** Imports and kills itself, as a power cut would, after the given number of written parts. */
import { importModel } from '../../src/models/import.ts'

const [source, out, parts] = process.argv.slice(2)
let written = 0
await importModel({
  source,
  out,
  quantisation: 'int4',
  block: 32,
  levels: 3,
  threads: 0,
  onProgress: ({ phase }) => {
    if (phase === 'write' && ++written === Number(parts)) process.kill(process.pid, 'SIGKILL')
  },
})
