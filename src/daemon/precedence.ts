import { execFile } from 'node:child_process'

/**
 * Asks Linux to run the thread of the governor and of every answer's bytes before all ordinary ones: round robin, the lowest
 * real-time priority. Ordinary threads that wake beside the engine lose the core again while they are at work, as soon as
 * anything else wakes there, and then wait for the scheduler's next tick (4 ms), however polite the engine is.
 *
 * Only this one thread is changed; what it starts, threads and the engine, is ordinary again. Allowed to root and where
 * RLIMIT_RTPRIO is 1 or more, as in our unit. `chrt` (util-linux) makes the call, which Node cannot.
 * @returns whether it was granted; without it all works, a token in a hundred comes later (bench/README.md).
 */
export function askForPrecedence(pid = process.pid): Promise<boolean> {
  const words = ['--rr', '--reset-on-fork', '--pid', '1', String(pid)]
  return new Promise((resolve) => execFile('chrt', words, (error) => resolve(error === null)))
}
