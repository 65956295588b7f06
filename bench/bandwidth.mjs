/**
 * Read bandwidth of this machine: libc's `memchr` looks for a byte that is not there, in a buffer larger than any cache, in
 * every thread at once. glibc's reads with the widest vectors of the CPU and does nothing else worth a nanosecond.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

if (!isMainThread && workerData?.bandwidth) {
  // koffi is the product's dependency, not ours.
  const koffi = createRequire(new URL('../package.json', import.meta.url))('koffi')
  const memchr = koffi.load('libc.so.6').func('memchr', 'void *', ['void *', 'int', 'size_t'])
  const buffer = Buffer.alloc(workerData.bytes, 1)
  parentPort.on('message', () => {
    const from = process.hrtime.bigint()
    memchr(buffer, 0, buffer.byteLength)
    parentPort.postMessage(Number(process.hrtime.bigint() - from) / 1e9)
  })
  parentPort.postMessage('ready')
}

const once = (worker) => new Promise((resolve) => worker.once('message', resolve))

/** Starts `threads` readers of 512 MB each. `measure` reads once through all and gives bytes per second. */
export async function startReaders(threads, bytes = 512e6) {
  const workers = Array.from(
    { length: threads },
    () => new Worker(fileURLToPath(import.meta.url), { workerData: { bandwidth: true, bytes } }),
  )
  await Promise.all(workers.map(once))
  return {
    async measure() {
      const replies = workers.map(once)
      for (const worker of workers) worker.postMessage('go')
      const seconds = await Promise.all(replies)
      return seconds.reduce((sum, s) => sum + bytes / s, 0)
    },
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  }
}
