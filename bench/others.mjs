/**
 * What other programs ran meanwhile. A thread of the kernel's may keep a core for tens of milliseconds, and whoever waits for
 * that core is late then, whatever he does himself.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** What `read` gives, or `otherwise` for a thread that has ended since its name was seen. */
function unlessGone(read, otherwise) {
  try {
    return read()
  } catch {
    return otherwise
  }
}

const numbers = (path) => unlessGone(() => readdirSync(path).filter((name) => /^\d+$/.test(name)), [])

/** Milliseconds that a thread has run (first field of schedstat, nanoseconds). */
const ranMs = (path) => Number(readFileSync(`${path}/schedstat`, 'utf8').split(' ', 1)[0]) / 1e6

/** How long each thread that is not of the processes `pids` has run. */
function others(pids) {
  const processes = numbers('/proc').filter((pid) => !pids.includes(Number(pid)))
  const threads = processes.flatMap((pid) => numbers(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}`))
  return new Map(threads.map((path) => [path, unlessGone(() => ranMs(path), 0)]))
}

/**
 * A function that says how many milliseconds others than the processes `pids` have run since it was last asked. It looks only
 * at those who ran during `tryout`, which takes it microseconds.
 */
export async function watchOthers(pids, tryout) {
  const before = others(pids)
  await tryout()
  const seen = new Map([...others(pids)].filter(([path, ran]) => ran > (before.get(path) ?? 0)))
  return () => {
    let sum = 0
    for (const [path, last] of seen) {
      const ran = unlessGone(() => ranMs(path), last)
      seen.set(path, ran)
      sum += ran - last
    }
    return sum
  }
}
