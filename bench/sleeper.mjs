/**
 * How late a thread that only sleeps gets a core. Whoever waits for a message is late at least as often, whatever he does himself:
 * beside the times of a daemon this says how much of them is the machine's.
 */
import { fileURLToPath } from 'node:url'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

const sleepMs = 20
const most = 100_000

/** Starts the thread; `lateMs` gives what it has seen so far. */
export function startSleeper() {
  const shared = { count: new SharedArrayBuffer(4), late: new SharedArrayBuffer(8 * most) }
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: shared })
  return {
    lateMs: () => [...new Float64Array(shared.late).subarray(0, Atomics.load(new Int32Array(shared.count), 0))],
    close: () => worker.terminate(),
  }
}

if (!isMainThread && workerData?.late) {
  const never = new Int32Array(new SharedArrayBuffer(4))
  const count = new Int32Array(workerData.count)
  const late = new Float64Array(workerData.late)
  for (let i = 0; i < most; i++) {
    const from = performance.now()
    Atomics.wait(never, 0, 0, sleepMs)
    late[i] = performance.now() - from - sleepMs
    Atomics.store(count, 0, i + 1)
  }
}
