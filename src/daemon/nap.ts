/** A sleep that can be cut short; a wake-up that comes while nobody sleeps makes the next sleep none at all. */
export interface Nap {
  /** Resolves after this many milliseconds, or at the first wake-up; true when it was woken. */
  take(ms: number): Promise<boolean>
  wake(): void
}

export function createNap(): Nap {
  let woken = false
  let end: (() => void) | null = null
  return {
    async take(ms) {
      if (!woken && ms > 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms)
          end = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        end = null
      }
      const cutShort = woken
      woken = false
      return cutShort
    },
    wake() {
      woken = true
      end?.()
    },
  }
}
