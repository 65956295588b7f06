import { readFileSync } from 'node:fs'
import type { Ort } from '../engine/ort/api.ts'
import { drawGroupErrors } from '../models/onnx/calibration.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'
import { openRunner } from './sessions.ts'

/** Resident memory of this process. */
export interface Memory {
  /** Node and onnxruntime before any weight or text was read: the code, an empty heap, a session that has run. */
  readonly floorBytes: number
  /** The most that was resident at once. */
  readonly peakBytes: number
  /** The model as float32. */
  readonly modelBytes: number
}

/** Notes the floor, and gives a function that tells what was reached. The peak is the process's: it may be older than the call. */
export function watchMemory(ort: Ort, folder: string, { shape, layers }: Checkpoint): () => Memory {
  const runner = openRunner(ort, folder, 'floor', drawGroupErrors(1), 1)
  const one = (shape: readonly number[]) => [shape, new Float32Array(1)] as const
  runner.run(
    {
      matrix: one([1, 1]),
      shape: [[3], BigInt64Array.of(1n, 1n, 1n)],
      covariance: one([1, 1, 1]),
      means: one([1, 1, 1]),
    },
    { errors: one([1]), squares: one([1, 1]), bias: one([1, 1, 1]) },
  )
  runner.close()
  const floorBytes = process.memoryUsage.rss()
  const weights = layers.reduce(
    (sum, layer) => sum + Object.values(layer).reduce((all, { rows, columns }) => all + rows * columns, 0),
    shape.hiddenSize + shape.vocabSize * shape.hiddenSize * (shape.tied ? 1 : 2),
  )
  return () => ({ floorBytes, peakBytes: peakOf(), modelBytes: 4 * weights })
}

function peakOf(): number {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  } catch {
    // Not Linux: the operating system's own figure, in kilobytes.
    return 1024 * process.resourceUsage().maxRSS
  }
}
