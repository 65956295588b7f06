import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { trimMemory } from '../engine/ort/allocator.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'

/** Resident memory of this process. */
export interface Memory {
  /** Before any weight was read: Node, onnxruntime with the calibration graphs open, the tokenizer and the tokenised texts. */
  readonly floorBytes: number
  /** The most that was resident at once. */
  readonly peakBytes: number
  /** The model as float32. */
  readonly modelBytes: number
}

/**
 * Collects garbage and gives it back, where much of it has come together: arrays outside the heap press so little on it that
 * it would wait for tens of megabytes of them, the more the more texts there are.
 */
export function tidy(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  trimMemory()
}

/** Notes the floor, and gives a function that tells what was reached. The peak is the process's: it may be older than the call. */
export function watchMemory({ shape, layers }: Checkpoint): () => Memory {
  tidy()
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
