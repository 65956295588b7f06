import { setTimeout as sleep } from 'node:timers/promises'
import { execa, parseCommandString } from 'execa'
import { detailOf } from '../errors.ts'

export interface LineChildOptions {
  /** The command line of a program that prints lines until it is ended. */
  readonly command: string
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly onLine: (text: string, atMs: number) => void
  /** Milliseconds without a line after which the child is taken to hang, and started again. */
  readonly hungAfterMs: () => number
  /** First and longest wait before a new start. */
  readonly backoffMs?: { readonly first: number; readonly most: number }
}

export interface LineChild {
  /** The program, without its path's folders. */
  readonly name: string
  /** Why there is no line, in words. */
  trouble(): string
  close(): Promise<void>
}

/** No sensor prints lines so long: what comes without an end is dropped instead of filling the memory. */
const longestLine = 65_536
const killAfterMs = 1000
/** A program may take its time to start, the more on a busy board; killing it for that would never end. */
const firstLineWithinMs = 15_000

/**
 * Keeps a child that prints lines running: started again with growing pauses when it ends or hangs, and ended by its own
 * process id.
 */
export function keepLineChild(options: LineChildOptions): LineChild {
  const { now, onLine, hungAfterMs, backoffMs = { first: 500, most: 30_000 } } = options
  const [file, ...args] = parseCommandString(options.command)
  const name = file.split('/').at(-1) ?? file
  const stop = new AbortController()
  let trouble = `no line from ${name} yet`

  async function runOnce(): Promise<void> {
    const child = execa(file, args, {
      stdin: 'ignore',
      stderr: 'ignore',
      buffer: false,
      cancelSignal: stop.signal,
      forceKillAfterDelay: killAfterMs,
    })
    let hung = false
    let waitMs = Math.max(firstLineWithinMs, hungAfterMs())
    const watch = (): NodeJS.Timeout =>
      setTimeout(() => {
        hung = true
        trouble = `${name} hangs: no line for ${Math.round(waitMs)} ms`
        child.kill('SIGKILL')
      }, waitMs)
    let timer = watch()
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > longestLine) rest = ''
      if (lines.length === 0) return
      clearTimeout(timer)
      waitMs = hungAfterMs()
      if (!hung) timer = watch()
      for (const line of lines) onLine(line, now())
    })
    try {
      await child
      trouble = `${name} ended`
    } catch (thrown) {
      if (!hung) trouble = `${name} failed: ${detailOf(thrown).split('\n', 1)[0]}`
    } finally {
      clearTimeout(timer)
    }
  }

  async function keepRunning(): Promise<void> {
    let waitMs = backoffMs.first
    while (!stop.signal.aborted) {
      const startedAtMs = now()
      await runOnce()
      if (stop.signal.aborted) return
      // A child that ran for long was healthy: begin again with the short pause.
      if (now() - startedAtMs > backoffMs.most) waitMs = backoffMs.first
      await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => undefined)
      waitMs = Math.min(backoffMs.most, 2 * waitMs)
    }
  }

  const running = keepRunning()
  return {
    name,
    trouble: () => trouble,
    async close() {
      stop.abort()
      await running
    },
  }
}
