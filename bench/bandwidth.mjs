/**
 * Read bandwidth of this machine: in every thread at once, libc looks for a byte that is not there in a buffer larger than
 * any cache. glibc reads with the widest vectors of the CPU and does nothing else worth a nanosecond; forwards or backwards,
 * whichever the prefetchers like better.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

if (!isMainThread && workerData?.bandwidth) {
  // koffi is the product's dependency, not ours.
  const koffi = createRequire(new URL('../package.json', import.meta.url))('koffi')
  const libc = koffi.load('libc.so.6')
  const find = (name) => libc.func(name, 'void *', ['void *', 'int', 'size_t'])
  const readers = { memchr: find('memchr'), memrchr: find('memrchr') }
  const buffer = Buffer.alloc(workerData.bytes, 1)
  parentPort.on('message', (reader) => {
    const from = process.hrtime.bigint()
    readers[reader](buffer, 0, buffer.byteLength)
    parentPort.postMessage(Number(process.hrtime.bigint() - from) / 1e9)
  })
  parentPort.postMessage('ready')
}

const once = (worker) => new Promise((resolve) => worker.once('message', resolve))

/** Starts `threads` readers of 512 MB each. `measure` gives bytes per second. */
export async function startReaders(threads, bytes = 512e6) {
  const workers = Array.from(
    { length: threads },
    () => new Worker(fileURLToPath(import.meta.url), { workerData: { bandwidth: true, bytes } }),
  )
  await Promise.all(workers.map(once))
  const read = async (reader) => {
    const replies = workers.map(once)
    for (const worker of workers) worker.postMessage(reader)
    return (threads * bytes) / Math.max(...(await Promise.all(replies)))
  }
  return {
    measure: async () => Math.max(await read('memchr'), await read('memrchr')),
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  }
}
