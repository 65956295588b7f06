import { readFileSync } from 'node:fs'
import { tidy } from '../engine/ort/allocator.ts'
import type { Checkpoint } from '../models/source/checkpoint.ts'

/** Resident memory of this process. */
export interface Memory {
  /** Before any weight was read: Node, onnxruntime with the calibration graphs open, the tokenizer and the tokenised texts. */
  readonly floorBytes: number
  /** The most that was resident at once. */
  readonly peakBytes: number
  /** Pages of files, most of them code of the library that was first used after the floor, in what came on top of it. */
  readonly fileBytes: number
  /** The model as float32. */
  readonly modelBytes: number
}

/** Notes the floor, and gives a function that tells what was reached. The peak is the process's: it may be older than the call. */
export function watchMemory({ shape, layers }: Checkpoint): () => Memory {
  // The first collection empties pages, the second gives them back.
  tidy()
  tidy()
  const floorBytes = settled()
  const floorFileBytes = inStatus('RssFile') ?? 0
  const weights = layers.reduce(
    (sum, layer) => sum + Object.values(layer).reduce((all, { rows, columns }) => all + rows * columns, 0),
    shape.hiddenSize + shape.vocabSize * shape.hiddenSize * (shape.tied ? 1 : 2),
  )
  return () => ({
    floorBytes,
    // Not Linux: the operating system's own figure, in kilobytes.
    peakBytes: inStatus('VmHWM') ?? 1024 * process.resourceUsage().maxRSS,
    fileBytes: (inStatus('RssFile') ?? 0) - floorFileBytes,
    modelBytes: 4 * weights,
  })
}

/** Resident bytes once they fall no more: threads give back what was collected some time after it was. */
function settled(): number {
  const clock = new Int32Array(new SharedArrayBuffer(4))
  let last = process.memoryUsage.rss()
  for (let quiet = 0; quiet < 5; ) {
    Atomics.wait(clock, 0, 0, 20)
    const now = process.memoryUsage.rss()
    quiet = now < last ? 0 : quiet + 1
    last = Math.min(last, now)
  }
  return last
}

/** A line of /proc/self/status in bytes, where there is such a thing. */
function inStatus(name: string): number | null {
  try {
    const found = new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))
    return found ? 1024 * Number(found[1]) : null
  } catch {
    return null
  }
}
