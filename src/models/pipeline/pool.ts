import { Worker } from 'node:worker_threads'
import { DeapdError, type ErrorCode, type ErrorParams } from '../../errors.ts'
import { type Job, type JobFiles, type JobResult, jobRunner } from './jobs.ts'

/** Does jobs, on worker threads or on this one, and gives the results in the order of the jobs. */
export interface Pool {
  run<K extends Job['kind']>(
    jobs: readonly Extract<Job, { kind: K }>[],
    onDone?: (index: number, result: JobResult<K>) => void,
  ): Promise<JobResult<K>[]>
  close(): Promise<void>
}

/** `threads` 0 works on the calling thread: for small models, starting threads would cost more than they save. */
export const openPool = (files: JobFiles, threads: number): Pool =>
  threads === 0 ? ownThread(files) : workerThreads(files, threads)

function ownThread(files: JobFiles): Pool {
  const runner = jobRunner(files)
  return {
    async run(jobs, onDone) {
      return jobs.map((job, index) => {
        const result = runner.run(job) as never
        onDone?.(index, result)
        return result
      })
    },
    close: async () => runner.close(),
  }
}

interface Reply {
  readonly result: JobResult<Job['kind']>
  readonly known?: { readonly code: ErrorCode; readonly params: ErrorParams }
  readonly error?: unknown
}

function workerThreads(files: JobFiles, threads: number): Pool {
  const path = new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url)
  const workers = Array.from({ length: threads }, () => new Worker(path, { workerData: files }))
  return {
    async run(jobs, onDone) {
      const results = new Array(jobs.length)
      let next = 0
      const work = async (worker: Worker): Promise<void> => {
        while (next < jobs.length) {
          const index = next++
          results[index] = await ask(worker, jobs[index])
          onDone?.(index, results[index])
        }
      }
      await Promise.all(workers.map(work))
      return results
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

/** One job on one worker, which does one at a time. */
function ask(worker: Worker, job: Job): Promise<JobResult<Job['kind']>> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      worker.off('message', answered).off('error', failed).off('exit', ended)
    }
    const answered = ({ result, known, error }: Reply): void => {
      stop()
      if (error === undefined) resolve(result)
      else reject(known ? new DeapdError(known.code, known.params, error) : error)
    }
    const failed = (error: Error): void => {
      stop()
      reject(error)
    }
    const ended = (code: number): void => failed(new Error(`a worker thread ended with code ${code}`))
    worker.on('message', answered).on('error', failed).on('exit', ended)
    worker.postMessage(job)
  })
}
