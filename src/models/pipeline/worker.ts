/** A worker thread of an import: does the jobs it is sent, one at a time. */
import { parentPort, workerData } from 'node:worker_threads'
import { DeapdError } from '../../errors.ts'
import { type Job, jobRunner } from './jobs.ts'

const runner = jobRunner(workerData)

parentPort?.on('message', (job: Job) => {
  try {
    parentPort?.postMessage({ result: runner.run(job) })
  } catch (error) {
    // A thread border keeps only plain errors whole: ours travel as code and parameters.
    const known = error instanceof DeapdError ? { code: error.code, params: error.params } : undefined
    parentPort?.postMessage({ known, error })
  }
})
