import { closeSync, constants, openSync, read, readdirSync, readSync, statSync } from 'node:fs'

/** Sensor values are short; anything longer is not one. */
const valueBytes = 64
const textBytes = 16_384
/** A device that has not answered for so long is unknown in this reading: the i2c bus itself gives up after a second. */
const answerWithinMs = 400

/**
 * Value files of sysfs, kept open: a reading is one `pread` each. The path is looked at first, because a file that was
 * replaced (a driver that binds again, a plant that renames) would otherwise show its last value for ever.
 */
export interface ValueFiles {
  /**
   * Whole numbers of files behind which a bus or firmware must answer; read off the event loop. Undefined for what is
   * absent, unreadable, powered down (EAGAIN), not a whole number or does not answer.
   */
  numbers(paths: readonly string[]): Promise<(number | undefined)[]>
  /** The same at once, for a file that the kernel answers from memory. */
  numberNow(path: string): number | undefined
  close(): void
}

interface Held {
  readonly descriptor: number
  readonly inode: number
  readonly device: number
  readonly buffer: Buffer
  busy: boolean
  dropped: boolean
}

export function openValueFiles(): ValueFiles {
  const files = new Map<string, Held>()
  let closed = false

  function drop(path: string, file: Held): void {
    files.delete(path)
    file.dropped = true
    // A descriptor that a thread still reads from must stay: its number could be given to another file.
    if (!file.busy) closeSync(file.descriptor)
  }

  function hold(path: string): Held | undefined {
    const before = files.get(path)
    const now = closed ? undefined : statSync(path, { throwIfNoEntry: false })
    if (before !== undefined) {
      if (now !== undefined && now.ino === before.inode && now.dev === before.device) return before
      drop(path, before)
    }
    if (now === undefined) return undefined
    const file: Held = {
      descriptor: openSync(path, readWithoutWaiting),
      inode: now.ino,
      device: now.dev,
      buffer: Buffer.alloc(valueBytes),
      busy: false,
      dropped: false,
    }
    files.set(path, file)
    return file
  }

  function start(path: string, done: (value: number | undefined) => void): void {
    const file = orUndefined(() => hold(path))
    if (file === undefined || file.busy) return done(undefined)
    file.busy = true
    read(file.descriptor, file.buffer, 0, valueBytes, 0, (error, bytes) => {
      file.busy = false
      if (file.dropped) closeSync(file.descriptor)
      done(error ? undefined : wholeNumber(file.buffer, bytes))
    })
  }

  return {
    numbers(paths) {
      if (paths.length === 0) return Promise.resolve([])
      return new Promise((resolve) => {
        const values = new Array<number | undefined>(paths.length).fill(undefined)
        let missing = paths.length
        let late = false
        const giveUp = (): void => {
          late = true
          resolve(values)
        }
        // After a stall of ours timers come before answers that have long been there: those are taken first.
        const timer = setTimeout(() => setImmediate(giveUp), answerWithinMs)
        for (const [index, path] of paths.entries()) {
          start(path, (value) => {
            if (late) return
            values[index] = value
            missing -= 1
            if (missing > 0) return
            clearTimeout(timer)
            resolve(values)
          })
        }
      })
    },
    numberNow(path) {
      return orUndefined(() => {
        const file = hold(path)
        if (file === undefined || file.busy) return undefined
        return wholeNumber(file.buffer, readSync(file.descriptor, file.buffer, 0, valueBytes, 0))
      })
    },
    close() {
      closed = true
      for (const [path, file] of files) drop(path, file)
    },
  }
}

/** A pipe in place of a file must not stop the daemon. */
const readWithoutWaiting = constants.O_RDONLY | constants.O_NONBLOCK

function wholeNumber(buffer: Buffer, bytes: number): number | undefined {
  const text = buffer.toString('latin1', 0, bytes).trim()
  return /^-?\d{1,15}$/.test(text) ? Number(text) : undefined
}

function orUndefined<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}

/** The text of a small file (labels, types, lists), or undefined when it cannot be read. */
export function readText(path: string): string | undefined {
  return orUndefined(() => {
    const descriptor = openSync(path, readWithoutWaiting)
    try {
      const buffer = Buffer.alloc(textBytes)
      return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, textBytes, 0))
    } finally {
      closeSync(descriptor)
    }
  })
}

/** Its first line without white space and NULs. */
export function readLine(path: string): string | undefined {
  return readText(path)?.split('\n', 1)[0].replaceAll('\0', '').trim()
}

/** A whole number, read once. */
export function readNumber(path: string): number | undefined {
  const text = readLine(path)
  return text !== undefined && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Names in a folder, sorted; none when it is absent. */
export function listFolder(path: string): readonly string[] {
  return orUndefined(() => readdirSync(path).sort()) ?? []
}
