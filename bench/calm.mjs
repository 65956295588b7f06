/**
 * Measurements that other programs did not disturb. The kernel counts how long each thread was ready to run and had no core;
 * a measurement during which that was more than a sliver is made again, on both sides of a comparison alike.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Seconds that the threads of processes have waited for a core (second field of schedstat, nanoseconds). */
function waitedSeconds(pids) {
  let nanoseconds = 0
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      try {
        nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[1])
      } catch {
        // The thread ended between the two lines.
      }
    }
  }
  return nanoseconds / 1e9
}

/** A process and those it started. */
export function family(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return [pid, ...children.map(Number)]
}

/** What was accepted, for the report: how much of the time threads had to wait, at worst, and what was made again. */
export const disturbance = { worst: 0, repeated: 0, disturbed: 0 }

/** For work that takes seconds: in so long something always ran beside it, and twelve tries would take half an hour. */
export const fewTries = { tries: 3 }

/**
 * The result of `work`, which lets the processes `pids` compute: of the first try with at most `most` of its time spent waiting, or
 * of the calmest of `tries`.
 */
export async function calmly(pids, work, { most = 0.02, tries = 12 } = {}) {
  let best
  for (let i = 0; i < tries; i++) {
    const before = waitedSeconds(pids)
    const from = performance.now()
    const result = await work()
    const share = (waitedSeconds(pids) - before) / ((performance.now() - from) / 1000)
    if (!best || share < best.share) best = { result, share }
    if (share <= most) break
    disturbance.repeated++
  }
  disturbance.worst = Math.max(disturbance.worst, best.share)
  if (best.share > most) disturbance.disturbed++
  return best.result
}
