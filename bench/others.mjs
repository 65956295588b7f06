/**
 * What other programs ran meanwhile. A thread of the kernel's may keep a core for tens of milliseconds, and whoever waits for
 * that core is late then, whatever he does himself.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'

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

const bytes = Buffer.alloc(64)

/** The same of an open file, without a string: what the client of a measurement leaves behind, it must collect between two tokens. */
function ranMsOf(file) {
  let nanoseconds = 0
  readSync(file, bytes, 0, bytes.length, 0)
  for (let i = 0; bytes[i] >= 48; i++) nanoseconds = nanoseconds * 10 + bytes[i] - 48
  return nanoseconds / 1e6
}

/** How long each thread that is not of the processes `pids` has run. */
function others(pids) {
  const processes = numbers('/proc').filter((pid) => !pids.includes(Number(pid)))
  const threads = processes.flatMap((pid) => numbers(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}`))
  return new Map(threads.map((path) => [path, unlessGone(() => ranMs(path), 0)]))
}

/**
 * `lookAside` says how many milliseconds others than the processes `pids` have run since it was last asked. It looks only at
 * those who ran during `tryout`, which takes it microseconds, and holds their files open until `close`.
 */
export async function watchOthers(pids, tryout) {
  const before = others(pids)
  await tryout()
  const seen = [...others(pids)]
    .filter(([path, ran]) => ran > (before.get(path) ?? 0))
    .map(([path, last]) => ({ last, file: unlessGone(() => openSync(`${path}/schedstat`), undefined) }))
    .filter(({ file }) => file !== undefined)
  return {
    lookAside() {
      let sum = 0
      for (const thread of seen) {
        const ran = unlessGone(() => ranMsOf(thread.file), thread.last)
        sum += ran - thread.last
        thread.last = ran
      }
      return sum
    },
    close() {
      for (const { file } of seen) closeSync(file)
    },
  }
}
