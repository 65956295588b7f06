/** A child process that answers commands: `{id, command, …}` in, `{id, result}` or `{id, error}` out. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export function startProcess(file) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { stdio: ['ignore', 2, 2, 'ipc'] })
  const waiting = new Map()
  let next = 0
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(error))
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${signal ?? code}`))
    waiting.clear()
  })
  return {
    pid: child.pid,
    ask: (command, options = {}) =>
      new Promise((resolve, reject) => {
        const id = next++
        waiting.set(id, { resolve, reject })
        child.send({ id, command, ...options })
      }),
    /** Resolves when the process is gone and its memory with it. */
    close: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve()
        child.once('exit', resolve)
        child.disconnect()
      }),
  }
}
