// Loaded into the daemon and its engine by scripts/soak.mjs: at SIGUSR2 it collects garbage and writes what is left.
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

const dir = process.env.SOAK_PROBE_DIR
if (dir && isMainThread) {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  process.on('SIGUSR2', () => {
    gc()
    const { heapUsed, external } = process.memoryUsage()
    const path = join(dir, `${process.pid}.json`)
    const handles = process.getActiveResourcesInfo().length
    // Renamed into place: the reader never sees half of it.
    writeFileSync(`${path}.new`, JSON.stringify({ heapBytes: heapUsed + external, handles }))
    renameSync(`${path}.new`, path)
  })
}
