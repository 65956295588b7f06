/** An unbounded queue with one reader: messages in order, or the error that ended them. */
export interface Mailbox<T> {
  put(message: T): void
  /** Everything already put is still delivered; then `take` throws. */
  fail(error: Error): void
  take(): Promise<T>
}

export function createMailbox<T>(): Mailbox<T> {
  const messages: T[] = []
  let failure: Error | undefined
  let wake: (() => void) | undefined
  return {
    put(message) {
      messages.push(message)
      wake?.()
    },
    fail(error) {
      failure ??= error
      wake?.()
    },
    async take() {
      while (messages.length === 0) {
        if (failure) throw failure
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return messages.shift() as T
    },
  }
}
