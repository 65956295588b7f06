import { closeSync, openSync } from 'node:fs'
import { type Matrix, squares } from '../onnx/matrix.ts'
import type { Part } from '../onnx/weights.ts'
import { openTensors, type TensorTable } from '../source/tensors.ts'
import { hashPart, writePart } from './fill.ts'

/** Work on weights that any thread can do, as plain data. */
export type Job =
  /** Sums of squares along rows and columns. */
  | { readonly kind: 'squares'; readonly matrix: Matrix }
  /** Write a part of the weight file; gives its sha256. */
  | { readonly kind: 'write'; readonly part: Part }
  /** Read a part of the weight file back; gives its sha256. */
  | { readonly kind: 'check'; readonly part: Part }

export type JobResult<K extends Job['kind']> = K extends 'squares'
  ? { readonly rows: Float64Array; readonly columns: Float64Array }
  : string

/** What jobs work on: where the weights come from and the file they go to. */
export interface JobFiles {
  readonly tensors: TensorTable
  readonly weightFile: string
}

export interface JobRunner {
  run(job: Job): JobResult<Job['kind']>
  close(): void
}

/** Does jobs on this thread. */
export function jobRunner({ tensors, weightFile }: JobFiles): JobRunner {
  const source = openTensors(tensors)
  const fd = openSync(weightFile, 'r+')
  return {
    run(job) {
      switch (job.kind) {
        case 'squares':
          return squares(job.matrix, source.read)
        case 'write':
          return writePart(job.part, fd, source.read)
        case 'check':
          return hashPart(job.part, fd)
      }
    },
    close() {
      source.close()
      closeSync(fd)
    },
  }
}
