import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { DeapdError, type ErrorCode, type ErrorParams } from '../../errors.ts'
import { type Asked, type Block, blockSize, type FromAnswerer, type LaneSpec, type ToAnswerer } from './block.ts'

export interface Questions {
  /** Model package. */
  readonly dir: string
  readonly lanes: readonly LaneSpec[]
  readonly prompts: readonly Asked[]
  readonly maxTokens: number
}

/** Processes that answer, one thread each. */
export interface Pool {
  /**
   * Answers the blocks whose first prompt is not in `done`; `onBlock` gets them as they come, in no fixed order. The answers do
   * not depend on the number of processes. Throws what an engine throws.
   */
  answer(questions: Questions, done: ReadonlySet<number>, onBlock: (block: Block) => void): Promise<void>
  close(): void
}

const childPath = fileURLToPath(new URL(`./child${import.meta.url.slice(-3)}`, import.meta.url))

export function openPool(workers: number): Pool {
  const children = Array.from({ length: workers }, () =>
    fork(childPath, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  )
  return {
    async answer({ dir, lanes, prompts, maxTokens }, done, onBlock) {
      const starts = Array.from({ length: Math.ceil(prompts.length / blockSize) }, (_, i) => i * blockSize)
      const open = starts.filter((from) => !done.has(from))
      let next = 0
      const work = async (child: ChildProcess): Promise<void> => {
        await ask(child, { type: 'open', dir, lanes, maxTokens })
        while (next < open.length) {
          const from = open[next++]
          const reply = await ask(child, { type: 'answer', from, prompts: prompts.slice(from, from + blockSize) })
          if (reply.type === 'answered') onBlock(reply.block)
        }
      }
      await Promise.all(children.slice(0, open.length).map(work))
    },
    close() {
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

/** One question to a process that does one thing at a time. */
function ask(child: ChildProcess, message: ToAnswerer): Promise<FromAnswerer> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      child.off('message', answered).off('error', failed).off('exit', ended)
    }
    const answered = (reply: FromAnswerer): void => {
      stop()
      if (reply.type !== 'failed') return resolve(reply)
      const { code, params, detail } = reply
      // The code came from our own table, in the same version of this program.
      reject(code === null ? new Error(detail) : new DeapdError(code as ErrorCode, params as ErrorParams))
    }
    const failed = (error: Error): void => {
      stop()
      reject(error)
    }
    const ended = (code: number | null, signal: string | null): void =>
      failed(new DeapdError('engine_lost', { detail: signal ?? `code ${code}` }))
    child.on('message', answered).on('error', failed).on('exit', ended)
    child.send(message)
  })
}
