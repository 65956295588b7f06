/** Something that was started and must be stopped again. */
export interface Part {
  readonly name: string
  readonly stop: () => unknown
}

/** The running parts in the order they were started; they are stopped in reverse, each with a limit of its own. */
export interface Lifecycle {
  add(name: string, stop: () => unknown): void
  /** Stops everything; a part that fails or hangs does not keep the others from stopping. Returns what went wrong. */
  stop(limitMs?: number): Promise<readonly string[]>
}

export function createLifecycle(): Lifecycle {
  const parts: Part[] = []
  return {
    add: (name, stop) => {
      parts.push({ name, stop })
    },
    async stop(limitMs = 3_000) {
      const faults: string[] = []
      for (let part = parts.pop(); part; part = parts.pop()) {
        const { name, stop } = part
        let timer: NodeJS.Timeout | undefined
        const late = new Promise<never>((_, reject) => {
          timer = setTimeout(() => reject(new Error(`did not stop within ${limitMs} ms`)), limitMs)
        })
        try {
          await Promise.race([Promise.resolve().then(stop), late])
        } catch (error) {
          faults.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
        } finally {
          clearTimeout(timer)
        }
      }
      return faults
    },
  }
}
